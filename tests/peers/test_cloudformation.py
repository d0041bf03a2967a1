# The CloudFormation templates before AWS's own linter, and as stacks of two emulators.
"""cfn-lint knows the schema of every resource: types, required properties, references, regions.
ministack makes the stack of containers: first without an image, then with one, then it is deleted.
moto makes the stack of the machine. Neither knows App Runner and ECS Express; those are only linted."""
import base64
import contextlib
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import time
import urllib.parse

import boto3
import pytest
from moto import mock_aws

BIN = pathlib.Path(sys.executable).parent
REGIONS = ["us-east-1", "us-west-2", "eu-central-1", "ap-southeast-2"]
RUNNER_REGIONS = ["us-east-1", "us-west-2", "eu-central-1"]
KEYS = {"region_name": "us-east-1", "aws_access_key_id": "test", "aws_secret_access_key": "test"}
MODELS = ["langhero", "papeterie", "story-analytics", "story-gen"]


@pytest.mark.parametrize("compute", ["vm", "express", "fargate", "apprunner"])
def test_the_linter_has_neither_errors_nor_warnings(rendered, compute):
    files = [templates[compute] for templates in rendered.values()]
    assert len(files) >= 8
    regions = RUNNER_REGIONS if compute == "apprunner" else REGIONS
    done = subprocess.run([BIN / "cfn-lint", "-r", *regions, "--", *files], capture_output=True, text=True, timeout=300,
                          check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_linter_sees_a_mistake(rendered, tmp_path):
    text = rendered["story-analytics"]["fargate"].read_text("utf-8")
    broken = tmp_path / "broken.json"
    broken.write_text(text.replace('"Ref": "PrivateSubnetA"', '"Ref": "NoSuchSubnet"'), "utf-8")
    assert subprocess.run([BIN / "cfn-lint", broken], capture_output=True, timeout=120, check=False).returncode != 0


# ---- ministack: containers -----------------------------------------------------------------------
def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    """A function that makes clients of an emulator, which ends with the tests."""
    port, folder = free_port(), tmp_path_factory.mktemp("ministack")
    env = dict(os.environ, BIND_HOST="127.0.0.1", GATEWAY_PORT=str(port), IOT_MTLS_ENABLED="0", SFTP_ENABLED="0",
               TMPDIR=str(folder))
    with open(folder / "log", "wb") as log, \
            subprocess.Popen([BIN / "ministack"], env=env, cwd=folder, stdout=log, stderr=log) as process:
        try:
            end = time.monotonic() + 60
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                assert process.poll() is None and time.monotonic() < end, (folder / "log").read_text("utf-8")
                time.sleep(0.1)
            yield lambda name: boto3.client(name, endpoint_url=f"http://127.0.0.1:{port}", **KEYS)
        finally:
            process.terminate()
            process.wait(30)


class Stack:
    def __init__(self, cloud, name, template):
        self.client, self.name, self.body = cloud("cloudformation"), name, json.dumps(template)
        self.client.create_stack(**self.arguments({}))
        self.wait("CREATE_COMPLETE")

    def arguments(self, parameters):
        return {"StackName": self.name, "TemplateBody": self.body, "Capabilities": ["CAPABILITY_IAM"],
                "Parameters": [{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()]}

    def update(self, parameters):
        self.client.update_stack(**self.arguments(parameters))
        self.wait("UPDATE_COMPLETE")

    def wait(self, wanted):
        end = time.monotonic() + 60
        while True:
            found = self.client.describe_stacks(StackName=self.name)["Stacks"][0]
            if not found["StackStatus"].endswith("IN_PROGRESS"):
                break
            assert time.monotonic() < end, found
            time.sleep(0.1)
        assert found["StackStatus"] == wanted, found
        self.outputs = {o["OutputKey"]: o["OutputValue"] for o in found.get("Outputs", [])}

    def resources(self):
        rows = self.client.list_stack_resources(StackName=self.name)["StackResourceSummaries"]
        return {row["LogicalResourceId"]: row["PhysicalResourceId"] for row in rows}

    def delete(self):
        self.client.delete_stack(StackName=self.name)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                status = self.client.describe_stacks(StackName=self.name)["Stacks"][0]["StackStatus"]
            except self.client.exceptions.ClientError:
                return
            if status == "DELETE_COMPLETE":
                return
            time.sleep(0.1)
        raise AssertionError("the stack is still there")


def with_condition(template, *names):
    return {name for name, r in template["Resources"].items() if r.get("Condition") in names}


@pytest.mark.parametrize("model", MODELS + ["field-notes"])
def test_containers_first_without_an_image_then_with_one(cloud, template, model):
    wanted = template(model, "fargate")
    stack = Stack(cloud, model, wanted)
    others = with_condition(wanted, "HasAdminEmail", "HasCertificate")
    with_image = with_condition(wanted, "HasImage")
    assert {"Task", "Service"} <= with_image
    assert set(stack.resources()) == set(wanted["Resources"]) - others - with_image
    assert {"AppUrl", "S3BucketName", "RDSEndpoint", "ECRRepositoryUri", "VPCId"} <= set(stack.outputs)

    # The address has the password that was made, and stands in a secret only.
    secrets, made = cloud("secretsmanager"), stack.resources()
    password = json.loads(secrets.get_secret_value(SecretId=made["DatabaseSecret"])["SecretString"])["password"]
    url = urllib.parse.urlsplit(secrets.get_secret_value(SecretId=made["DatabaseUrl"])["SecretString"])
    assert (url.scheme, url.username, url.password, url.path) == ("postgresql", "app", password, "/app")
    assert re.fullmatch("[A-Za-z0-9]{40}", password) and url.hostname == stack.outputs["RDSEndpoint"]

    image = stack.outputs["ECRRepositoryUri"] + ":1"
    stack.update({"ImageUri": image})
    assert set(stack.resources()) == set(wanted["Resources"]) - others
    task = cloud("ecs").describe_task_definition(taskDefinition=stack.resources()["Task"])["taskDefinition"]
    container = task["containerDefinitions"][0]
    assert container["image"] == image and password not in json.dumps(task, default=str)
    environment = {pair["name"]: pair["value"] for pair in container["environment"]}
    assert environment["S3_BUCKET"] == stack.outputs["S3BucketName"]
    assert environment["PUBLIC_URL"] == stack.outputs["AppUrl"]
    assert len(container["secrets"]) == (3 if model == "story-analytics" else 2)

    # Deleted: the bucket stays.
    bucket = stack.outputs["S3BucketName"]
    stack.delete()
    assert bucket in [b["Name"] for b in cloud("s3").list_buckets()["Buckets"]]


def test_an_address_for_alarms_and_secrets_that_may_be_missing(cloud, template):
    wanted = template("story-analytics", "fargate")
    stack = Stack(cloud, "alarms", wanted)
    image = stack.outputs["ECRRepositoryUri"] + ":1"
    stack.update({"ImageUri": image, "AdminEmail": "me@example.com", "UseResendApiKey": "yes"})
    assert {"Alarms", "DatabaseStorageAlarm"} <= set(stack.resources())
    task = cloud("ecs").describe_task_definition(taskDefinition=stack.resources()["Task"])["taskDefinition"]
    # DATABASE_URL, DAIS_SECRET, JWT_SECRET, RESEND_API_KEY; ministack loses their names
    assert len(task["containerDefinitions"][0]["secrets"]) == 4
    stack.delete()


# ---- moto: the machine ---------------------------------------------------------------------------
@pytest.mark.parametrize("model", MODELS + ["field-notes"])
def test_the_machine(template, model):
    wanted = template(model, "vm")
    with mock_aws():
        ec2 = boto3.client("ec2", **KEYS)
        image = ec2.describe_images()["Images"][0]["ImageId"]
        # moto looks the default up whatever is given, and lets nobody write below /aws.
        wanted["Parameters"]["LatestImage"]["Default"] = "/test/debian"
        boto3.client("ssm", **KEYS).put_parameter(Name="/test/debian", Value=image, Type="String")
        stack = Stack(lambda name: boto3.client(name, **KEYS), "machine", wanted)
        assert stack.outputs["MachineImage"] == image
        made = stack.resources()
        unknown = {"BucketPolicy", "AddressOfMachine", "AppSecrets"}  # types that moto does not have
        assert set(wanted["Resources"]) - set(made) <= unknown | with_condition(wanted, "HasAdminEmail", "HasSsh")

        machine = ec2.describe_instances(InstanceIds=[made["Machine"]])["Reservations"][0]["Instances"][0]
        assert machine["InstanceType"] == wanted["Parameters"]["InstanceType"]["Default"]
        volumes = ec2.describe_volumes(VolumeIds=[made["DataVolume"]])["Volumes"]
        assert volumes[0]["Attachments"][0]["InstanceId"] == made["Machine"]
        data = ec2.describe_instance_attribute(InstanceId=made["Machine"], Attribute="userData")["UserData"]["Value"]
        text = base64.b64decode(data).decode()
        assert f"volume={made['DataVolume']}\n" in text and f"S3_BUCKET={stack.outputs['S3BucketName']}\n" in text
        group = ec2.describe_security_groups(GroupIds=[made["SecurityGroup"]])["SecurityGroups"][0]
        assert sorted(row["FromPort"] for row in group["IpPermissions"]) == [80, 443]
