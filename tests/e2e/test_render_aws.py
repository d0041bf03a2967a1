# `dais render aws`: the CloudFormation templates: structure, the pitfalls they avoid, the seed's lines.
import copy
import json
import pathlib
import re
import subprocess

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
DAIS = ROOT / "build/debug/dais"
COMPUTES = ["vm", "express", "fargate", "apprunner"]
CONTAINERS = COMPUTES[1:]
MANIFESTS = sorted(path for folder in ("models", "apps", "tests/fixtures/manifest", "tests/systems")
                   for path in (ROOT / folder).glob("*/dais.yaml"))
INLINE_MAX = 51200  # bytes of a template that is passed without a bucket


def render(app, out, word="aws"):
    return subprocess.run([DAIS, "render", word, app, "-o", out], capture_output=True, text=True, timeout=300,
                          check=False)


def templates_of(out):
    return {name: json.loads((out / f"ops/cloudformation.{name}.json").read_text("utf-8")) for name in COMPUTES}


@pytest.fixture(scope="module", params=MANIFESTS, ids=lambda path: path.parent.name)
def rendered(request, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    done = render(request.param.parent, out)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module", params=COMPUTES)
def template(request, rendered):
    return templates_of(rendered)[request.param]


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """The Story Analytics model: what the seed's design is about."""
    out = tmp_path_factory.mktemp("story")
    done = render(ROOT / "models/story-analytics", out)
    assert done.returncode == 0, done.stderr
    return dict(templates_of(out), said=done.stdout)


@pytest.fixture
def write(tmp_path):
    """Renders a manifest of which only some keys are given; says what dais said and what it made."""
    def run(word="aws", **keys):
        app = tmp_path / "app"
        app.mkdir(exist_ok=True)
        (app / "web").mkdir(exist_ok=True)
        (app / "dais.yaml").write_text(yaml.safe_dump(dict({"app": "odd"}, **keys), allow_unicode=True), "utf-8")
        done = render(app, tmp_path / "out", word)
        done.made = templates_of(tmp_path / "out") if done.returncode == 0 else None
        return done
    return run


BACKEND = {"run": "exec ./serve", "routes": ["/api/"]}


def walk(value, path=()):
    """Every value below, with the keys that lead to it."""
    yield path, value
    if isinstance(value, (dict, list)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from walk(item, (*path, key))


def resources(template, kind):
    return {name: r for name, r in template["Resources"].items() if r["Type"] == kind}


def one(template, kind):
    found = resources(template, kind)
    assert len(found) == 1, (kind, list(found))
    return next(iter(found.values()))["Properties"]


# ---- structure -----------------------------------------------------------------------------------
def names_in_sub(text):
    return [name for name in re.findall(r"\$\{([^!][^}]*)\}", text) if not name.startswith("AWS::")]


def references(template):
    """What a template refers to: (where, name)."""
    for path, value in walk({k: v for k, v in template.items() if k != "Metadata"}):
        key = path[-1] if path else None
        if key == "Ref" and not value.startswith("AWS::"):
            yield path, value
        elif key == "Fn::GetAtt":
            yield path, value[0]
        elif key == "Fn::Sub":
            text, own = (value, {}) if isinstance(value, str) else (value[0], value[1])
            for name in names_in_sub(text):
                if name not in own:
                    yield path, name.split(".")[0]
        elif key == "DependsOn":
            for name in [value] if isinstance(value, str) else value:
                yield path, name


def conditions_used(template):
    for path, value in walk(template):
        if path and path[-1] == "Condition" and isinstance(value, str):
            yield value
        if path and path[-1] == "Fn::If":
            yield value[0]


def test_every_reference_leads_somewhere(template):
    known = set(template["Resources"]) | set(template["Parameters"])
    assert [(path, name) for path, name in references(template) if name not in known] == []
    assert set(conditions_used(template)) <= set(template["Conditions"])


def test_nothing_is_declared_in_vain(template):
    assert set(template["Parameters"]) - {name for _, name in references(template)} == set()
    assert set(template["Conditions"]) - set(conditions_used(template)) == set()
    assert len(template["Parameters"]) <= 200


def test_what_exists_refers_to_nothing_that_may_not(template):
    """A resource under a condition is only referred to under the same one."""
    under = {name: r["Condition"] for name, r in template["Resources"].items() if "Condition" in r}
    for path, name in references(template):
        if name in under:
            owner = template[path[0]][path[1]]
            assert owner.get("Condition") == under[name], (path, name)


STATEFUL = {"AWS::S3::Bucket": "Retain", "AWS::RDS::DBInstance": "Snapshot", "AWS::EC2::Volume": "Snapshot",
            "AWS::EFS::FileSystem": "Retain", "AWS::ECR::Repository": "Delete", "AWS::Logs::LogGroup": "Delete"}
KEPT_SECRETS = ("AppSecrets", "ServerSecret")  # what nobody could make again


def test_what_holds_data_says_what_becomes_of_it(template):
    for name, r in template["Resources"].items():
        wanted = STATEFUL.get(r["Type"])
        if r["Type"] == "AWS::SecretsManager::Secret":
            wanted = "Retain" if name in KEPT_SECRETS else "Delete"
        if wanted:
            assert (r.get("DeletionPolicy"), r.get("UpdateReplacePolicy")) == (wanted, wanted), name


UNTAGGED = {"AWS::EC2::VPCGatewayAttachment", "AWS::EC2::Route", "AWS::EC2::SubnetRouteTableAssociation",
            "AWS::S3::BucketPolicy", "AWS::SecretsManager::SecretTargetAttachment", "AWS::IAM::InstanceProfile",
            "AWS::EC2::VolumeAttachment", "AWS::EC2::EIPAssociation", "AWS::EC2::SecurityGroupIngress",
            "AWS::EFS::MountTarget", "AWS::ElasticLoadBalancingV2::Listener",
            "AWS::ElasticLoadBalancingV2::ListenerRule"}
TAG_KEYS = {"AWS::EFS::FileSystem": "FileSystemTags", "AWS::EFS::AccessPoint": "AccessPointTags"}


def test_every_resource_that_can_be_tagged_is(template):
    for name, r in template["Resources"].items():
        if r["Type"] in UNTAGGED:
            continue
        tags = {t["Key"]: t["Value"] for t in r["Properties"][TAG_KEYS.get(r["Type"], "Tags")]}
        assert tags["managed-by"] == "dais" and tags["app"] == {"Ref": "AppName"}, name
        assert tags["env"] == {"Ref": "Environment"}, name


def statements(template):
    for _, value in walk(template["Resources"]):
        if isinstance(value, dict) and "Effect" in value:
            yield value


def test_roles_are_allowed_little(template):
    allowed = [s for s in statements(template) if s["Effect"] == "Allow"]
    assert allowed
    for s in allowed:
        actions = [s["Action"]] if isinstance(s["Action"], str) else s["Action"]
        assert not [a for a in actions if "*" in a], s
        if s.get("Resource") == "*":
            assert actions == ["ecr:GetAuthorizationToken"], s  # it knows no other
        assert s.get("Principal") != "*" and not {"NotAction", "NotResource", "NotPrincipal"} & set(s)
    managed = {json.dumps(arn) for r in resources(template, "AWS::IAM::Role").values()
               for arn in r["Properties"].get("ManagedPolicyArns", [])}
    assert all("AmazonSSMManagedInstanceCore" in arn or "ExpressGatewayServices" in arn for arn in managed)


def test_they_are_small_enough_and_say_what_made_them(rendered):
    for name in COMPUTES:
        path = rendered / f"ops/cloudformation.{name}.json"
        assert path.stat().st_size < INLINE_MAX, name
        made = json.loads(path.read_text("utf-8"))
        assert "dais-sha256:" in made["Metadata"]["Header"]
        assert len(made["Description"].encode()) <= 1024


def test_the_same_bytes_again(tmp_path):
    first, second = (render(ROOT / "models/story-analytics", tmp_path / name) for name in "ab")
    assert first.stdout == second.stdout
    for name in COMPUTES:
        path = f"ops/cloudformation.{name}.json"
        assert (tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes()


# ---- pitfalls ------------------------------------------------------------------------------------
@pytest.mark.parametrize("compute", CONTAINERS)
def test_the_service_waits_for_an_image(story, compute):
    template = story[compute]
    assert template["Parameters"]["ImageUri"]["Default"] == ""
    assert template["Resources"]["Service"]["Condition"] == "HasImage"
    assert "Condition" not in template["Resources"]["Repository"]


@pytest.mark.parametrize("compute", COMPUTES)
def test_no_nat_gateway_but_an_endpoint_of_s3(story, compute):
    template = story[compute]
    assert not resources(template, "AWS::EC2::NatGateway")
    endpoint = one(template, "AWS::EC2::VPCEndpoint")
    assert endpoint["VpcEndpointType"] == "Gateway" and endpoint["ServiceName"]["Fn::Sub"].endswith(".s3")
    tables = {name for name in template["Resources"] if name.endswith("RouteTable")}
    assert {ref["Ref"] for ref in endpoint["RouteTableIds"]} == tables


def subnets(refs):
    return {ref["Ref"] for ref in refs}


def test_tasks_are_public_and_only_the_load_balancer_reaches_them(story):
    vpc = one(story["fargate"], "AWS::ECS::Service")["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert vpc["AssignPublicIp"] == "ENABLED" and subnets(vpc["Subnets"]) == {"PublicSubnetA", "PublicSubnetB"}
    rules = story["fargate"]["Resources"]["AppSecurityGroup"]["Properties"]["SecurityGroupIngress"]
    assert [rule["SourceSecurityGroupId"] for rule in rules] == [{"Ref": "LoadBalancerSecurityGroup"}]
    express = one(story["express"], "AWS::ECS::ExpressGatewayService")["NetworkConfiguration"]
    assert subnets(express["Subnets"]) == {"PublicSubnetA", "PublicSubnetB"}
    assert "SecurityGroupIngress" not in story["express"]["Resources"]["AppSecurityGroup"]["Properties"]


@pytest.mark.parametrize("compute", CONTAINERS)
def test_the_database_is_private(story, compute):
    template = story[compute]
    assert subnets(one(template, "AWS::RDS::DBSubnetGroup")["SubnetIds"]) == {"PrivateSubnetA", "PrivateSubnetB"}
    assert one(template, "AWS::RDS::DBInstance")["PubliclyAccessible"] is False
    rules = template["Resources"]["DatabaseSecurityGroup"]["Properties"]["SecurityGroupIngress"]
    assert [rule["SourceSecurityGroupId"] for rule in rules] == [{"Ref": "AppSecurityGroup"}]
    private = [r for r in resources(template, "AWS::EC2::Route").values()
               if r["Properties"]["RouteTableId"] == {"Ref": "PrivateRouteTable"}]
    assert private == []


def test_the_health_path_is_written_out(story):
    assert one(story["fargate"], "AWS::ElasticLoadBalancingV2::TargetGroup")["HealthCheckPath"] == "/_/healthz"
    assert one(story["express"], "AWS::ECS::ExpressGatewayService")["HealthCheckPath"] == "/_/healthz"
    runner = one(story["apprunner"], "AWS::AppRunner::Service")["HealthCheckConfiguration"]
    assert (runner["Protocol"], runner["Path"]) == ("HTTP", "/_/healthz")


@pytest.mark.parametrize("compute", CONTAINERS)
def test_the_password_is_our_own_never_rotated_and_never_in_the_open(story, compute):
    template = story[compute]
    database = one(template, "AWS::RDS::DBInstance")
    assert "ManageMasterUserPassword" not in database
    assert not resources(template, "AWS::SecretsManager::RotationSchedule")
    made = template["Resources"]["DatabaseSecret"]["Properties"]["GenerateSecretString"]
    assert set('"@/\\:%?#') <= set(made["ExcludeCharacters"])
    assert one(template, "AWS::SecretsManager::SecretTargetAttachment")["TargetType"] == "AWS::RDS::DBInstance"
    # {{resolve}} stands in the password of the database and in the secret with its address, nowhere else.
    places = [path[:3] for path, value in walk(template["Resources"])
              if isinstance(value, str) and "{{resolve:" in value]
    assert sorted(places) == [("Database", "Properties", "MasterUserPassword"),
                              ("DatabaseUrl", "Properties", "SecretString")]
    variables, _ = variables_of(template)
    assert "DATABASE_URL" not in variables and "DAIS_SECRET" not in variables


def test_what_stands_in_the_way_of_deleting_is_known(story):
    for compute in CONTAINERS:
        assert one(story[compute], "AWS::RDS::DBInstance")["DeletionProtection"] is True
        assert one(story[compute], "AWS::ECR::Repository")["EmptyOnDelete"] is True


def test_names_are_cloudformations_own_so_that_leftovers_never_collide(template):
    named = {"BucketName", "RepositoryName", "DBInstanceIdentifier", "RoleName", "LogGroupName", "ServiceName",
             "ClusterName", "GroupName", "TopicName", "AlarmName"}
    for name, r in template["Resources"].items():
        assert not named & set(r.get("Properties", {})) - {"ServiceName"}, name
    assert not [r for r in resources(template, "AWS::ECS::ExpressGatewayService").values()
                if "ServiceName" in r["Properties"]]
    assert not resources(template, "AWS::SecretsManager::Secret") or all(
        "Name" not in r["Properties"] for r in resources(template, "AWS::SecretsManager::Secret").values())


def test_a_service_that_never_starts_is_taken_back(story):
    config = one(story["fargate"], "AWS::ECS::Service")["DeploymentConfiguration"]
    assert config["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}


def test_express_says_what_cannot_be_changed_and_how_large_it_is(story):
    for word in ("ServiceName", "Cluster", "InfrastructureRoleArn", "Tags"):
        assert word in story["express"]["Metadata"]["CreateOnly"]
    for compute in CONTAINERS:
        assert {"Cpu", "Memory"} <= {path[-1] for path, _ in walk(story[compute]["Resources"]) if path}
    tags = one(story["express"], "AWS::ECS::ExpressGatewayService")["Tags"]
    assert not [t for t in tags if "sha" in t["Key"]]  # a tag that changes would replace the service


def test_app_runner_is_marked_as_closed(story):
    assert "closed to new customers since 2026-04-30" in story["apprunner"]["Description"]
    assert "2026-04-30" in story["apprunner"]["Metadata"]["Closed"]
    assert re.search(r"apprunner .*closed to new customers since 2026-04-30", story["said"])


def test_files_survive_on_fargate_and_two_tasks_never_share_them(story, write):
    assert resources(story["fargate"], "AWS::EFS::FileSystem")
    config = one(story["fargate"], "AWS::ECS::Service")["DeploymentConfiguration"]
    assert (config["MinimumHealthyPercent"], config["MaximumPercent"]) == (0, 100)
    plain = write(backend=BACKEND).made["fargate"]
    assert not resources(plain, "AWS::EFS::FileSystem")
    config = one(plain, "AWS::ECS::Service")["DeploymentConfiguration"]
    assert (config["MinimumHealthyPercent"], config["MaximumPercent"]) == (100, 200)


def test_the_load_balancer_is_more_patient_than_the_app(story, write):
    def idle(template):
        attributes = one(template, "AWS::ElasticLoadBalancingV2::LoadBalancer")["LoadBalancerAttributes"]
        return int({a["Key"]: a["Value"] for a in attributes}["idle_timeout.timeout_seconds"])
    assert idle(story["fargate"]) > 600  # its notebooks may take 600 s
    assert idle(write(backend=dict(BACKEND, websocket={"idle": "15m"})).made["fargate"]) > 900
    assert idle(write(backend=dict(BACKEND, timeout="2h")).made["fargate"]) == 4000  # as long as there is


# ---- the machine ---------------------------------------------------------------------------------
def user_data(template):
    parts = one(template, "AWS::EC2::Instance")["UserData"]["Fn::Base64"]["Fn::Join"][1]
    first = parts[0]["Fn::Sub"][0]
    for name in names_in_sub(first):
        first = first.replace("${" + name + "}", f"<{name}>")
    return first.replace("${AWS::Region}", "us-east-1").replace("${!", "${") + parts[1]


def test_the_machine_keeps_data_on_a_volume_of_its_own(story):
    template = story["vm"]
    machine = one(template, "AWS::EC2::Instance")
    assert machine["MetadataOptions"]["HttpTokens"] == "required"
    assert machine["BlockDeviceMappings"][0]["Ebs"]["VolumeType"] == "gp3"
    assert one(template, "AWS::EC2::Volume")["Encrypted"] is True
    assert "/var/lib/story-analytics" in user_data(template)
    assert one(template, "AWS::EC2::EIP") and not resources(template, "AWS::RDS::DBInstance")
    rules = template["Resources"]["SecurityGroup"]["Properties"]["SecurityGroupIngress"]
    assert sorted(rule["FromPort"] for rule in rules) == [80, 443]
    assert template["Resources"]["SshRule"]["Condition"] == "HasSsh"
    assert template["Parameters"]["SshFrom"]["Default"] == ""
    image = template["Parameters"]["LatestImage"]
    assert image == dict(image, Type="AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>",
                         Default="/aws/service/debian/release/12/latest/arm64")
    assert machine["ImageId"]["Fn::If"][0] == "HasPinnedImage"  # an update never replaces the machine by itself


def test_its_first_start_is_read_by_cloud_init_and_by_a_shell(rendered):
    text = user_data(templates_of(rendered)["vm"])
    assert text.startswith("#cloud-config-archive\n") and len(text) < 16384
    parts = yaml.safe_load(text)
    assert [part["type"] for part in parts] == ["text/cloud-boothook", "text/x-shellscript", "text/cloud-config"]
    for part in parts[:2]:
        assert part["content"].startswith("#!/bin/sh\n")
        script = re.sub(r"<(\w+)>", r"\1", part["content"])  # the names that stand for the stack's values
        assert subprocess.run(["sh", "-n"], input=script, text=True, timeout=10, check=False).returncode == 0
    assert isinstance(yaml.safe_load(parts[2]["content"]), dict)
    for line in ("EnvironmentFile=-/etc/", "S3_BUCKET=<Bucket>", "PUBLIC_URL=<PublicUrl>"):
        assert line in parts[1]["content"]


def test_its_secrets_arrive_as_they_are(story, tmp_path):
    """The script that fetches them, with an `aws` of ours, read back as systemd reads such files."""
    first_start = yaml.safe_load(user_data(story["vm"]))[1]["content"]
    script = re.search(r"<<'END'\n(#!/bin/sh\n# Fetches.*?)\nEND\n", first_start, re.DOTALL).group(1)
    values = {"JWT_SECRET": 'a"b\\c$d`e', "EMPTY": "", "UNICODE": "ä ☃ #;=", "N": "1e3"}
    (tmp_path / "bin").mkdir()
    (tmp_path / "value.json").write_text(json.dumps(values), "utf-8")
    (tmp_path / "bin/aws").write_text(f"#!/bin/sh\ncat {tmp_path}/value.json\n", "utf-8")
    (tmp_path / "bin/aws").chmod(0o755)
    script = script.replace("/etc/story-analytics", str(tmp_path)).replace("<AppSecrets>", "x")
    subprocess.run(["sh", "-c", script], check=True, timeout=300,
                   env={"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "LANG": "C.UTF-8"})
    read = {}
    for line in (tmp_path / "secrets.env").read_text("utf-8").splitlines():
        name, text = line.split("=", 1)
        assert text[0] == text[-1] == '"'
        read[name] = re.sub(r'\\(["\\$`])', r"\1", text[1:-1])
    assert read == values
    assert (tmp_path / "secrets.env").stat().st_mode & 0o077 == 0
    assert not list(tmp_path.glob("secrets.json")) and not list(tmp_path.glob("secrets.new"))


# ---- variables and secrets -----------------------------------------------------------------------
def variables_of(template):
    """What a container gets: plain variables and secrets by name."""
    if "Task" in template["Resources"]:
        container = template["Resources"]["Task"]["Properties"]["ContainerDefinitions"][0]
        plain, secret = container["Environment"], container.get("Secrets", [])
    elif resources(template, "AWS::ECS::ExpressGatewayService"):
        container = template["Resources"]["Service"]["Properties"]["PrimaryContainer"]
        plain, secret = container["Environment"], container.get("Secrets", [])
    else:
        source = template["Resources"]["Service"]["Properties"]["SourceConfiguration"]
        config = source["ImageRepository"]["ImageConfiguration"]
        plain, secret = config["RuntimeEnvironmentVariables"], config.get("RuntimeEnvironmentSecrets", [])

    def by_name(pairs):
        chosen = [pair["Fn::If"][1] if "Fn::If" in pair else pair for pair in pairs]
        found = {pair["Name"]: pair for pair in chosen}
        assert len(found) == len(chosen), "a name twice, which ECS refuses"
        return found
    return by_name(plain), by_name(secret)


@pytest.mark.parametrize("compute", CONTAINERS)
def test_required_secrets_are_wired_and_others_when_one_says_so(story, compute):
    plain, secret = variables_of(story[compute])
    assert not set(plain) & set(secret)
    assert {"DATABASE_URL", "DAIS_SECRET", "JWT_SECRET", "RESEND_API_KEY", "FROM_EMAIL"} <= set(secret)
    optional = [pair["Fn::If"][0] for path, value in walk(story[compute]["Resources"]) if path and
                path[-1] in ("Secrets", "RuntimeEnvironmentSecrets") for pair in value if "Fn::If" in pair]
    assert "UsesResendApiKey" in optional and "UsesJwtSecret" not in optional
    assert story[compute]["Parameters"]["UseResendApiKey"]["Default"] == "no"
    assert "GenerateSecretString" not in story[compute]["Resources"]["AppSecrets"]["Properties"]
    assert "SecretString" not in story[compute]["Resources"]["AppSecrets"]["Properties"]
    assert "SNOWFLAKE_*" in story[compute]["Metadata"]["Patterns"]


def test_secrets_with_odd_names(write):
    made = write(backend=BACKEND, secrets=["A_B?", "AB?", "A__B?", "a_b?", "DATABASE_URL", "S3_BUCKET?", "X"]).made
    for compute in CONTAINERS:
        plain, secret = variables_of(made[compute])
        assert set(secret) == {"A_B", "AB", "A__B", "a_b", "DATABASE_URL", "DAIS_SECRET", "X"}
        assert not set(plain) & set(secret)
        switches = [name for name in made[compute]["Parameters"] if name.startswith("Use")]
        assert len(switches) == 4 and all(name.isalnum() for name in switches)
    none = write(backend=BACKEND).made
    assert "AppSecrets" not in none["fargate"]["Resources"] and "AppSecrets" not in none["vm"]["Resources"]


ODD = ['"quoted" and \'quoted\'', "$HOME ${HOME} $$", "no", "1e3", "::", "a: b # c", "{ } [ ] & * ! | > %", "]}, {[:",
       "ä ☃ 𝄞 \u2028", "line one\nline two", "<% if %>", "${AWS::Region} ${!x}", "-", "null", "\\n \\\\",
       " ends with a space "]


@pytest.mark.parametrize("odd", ODD)
def test_odd_values_arrive_as_they_are(write, odd):
    shown = odd.replace("\n", " ").strip()
    done = write("there", title=shown, description=shown, backend=BACKEND,
                 deploy={"there": {"kind": "aws", "env": {"ODD": odd.replace("$", "$$"), "S3_REGION": "eu-west-1"}}})
    assert done.returncode == 0, done.stderr
    for compute, template in done.made.items():
        assert template["Metadata"]["App"] == {"Name": shown, "Description": shown}
        if compute != "vm":
            plain, _ = variables_of(template)
            assert plain["ODD"]["Value"] == odd and plain["S3_REGION"]["Value"] == "eu-west-1"


def test_a_very_long_title_still_fits(write):
    made = write(title="ä☃" * 400, backend=BACKEND).made
    for template in made.values():
        assert len(template["Description"].encode()) <= 1024


# ---- what a target says --------------------------------------------------------------------------
def test_a_target_fills_in_its_values(write):
    done = write("live_1", backend=BACKEND, deploy={"live_1": {
        "kind": "aws", "region": "eu-central-1", "compute": "fargate", "domain": "charts.example.com",
        "admin_email": "me@example.com"}})
    assert done.returncode == 0, done.stderr
    parameters = done.made["fargate"]["Parameters"]
    assert parameters["DomainName"]["Default"] == "charts.example.com"
    assert parameters["AdminEmail"]["Default"] == "me@example.com"
    assert parameters["Environment"]["Default"] == "live_1"
    assert done.made["express"]["Parameters"]["PublicUrl"]["Default"] == "https://charts.example.com"
    assert "ops/cloudformation.fargate.json" in done.stdout and "--region eu-central-1" in done.stdout
    assert "--stack-name odd-live-1" in done.stdout


@pytest.mark.parametrize("target, message", [
    ({"region": "Frankfurt"}, r"dais\.yaml:\d+:\d+: .*region: Frankfurt is no region of AWS"),
    ({"region": "us-east-1; rm -rf"}, "is no region of AWS"),
    ({"region": "us-east-"}, "is no region of AWS"),
    ({"compute": "cloudrun"}, "compute: AWS has no cloudrun"),
    ({"env": {"X": "$HOME/x"}}, "env: X takes the value of another variable"),
    ({"env": {"X": "$$ and ${HOME}"}}, "env: X takes the value of another variable"),
    ({"env": {"X": "{{resolve:ssm:/x}}"}}, r"env: X holds \{\{resolve:"),
])
def test_what_cannot_be_expressed_is_an_error(write, target, message):
    done = write("there", deploy={"there": dict({"kind": "aws"}, **target)})
    assert done.returncode == 1 and re.search(message, done.stdout + done.stderr), done.stderr


def test_more_memory_than_there_is(write):
    large = dict(BACKEND, limits={"memory": "200GB"})
    for compute, ok in (("fargate", "120GB"), ("apprunner", "12GB"), ("vm", "128GB")):
        target = {"there": {"kind": "aws", "compute": compute}}
        done = write("there", backend=large, deploy=target)
        assert done.returncode == 1 and "backend.limits.memory" in done.stderr + done.stdout
        assert write("there", backend=dict(BACKEND, limits={"memory": ok}), deploy=target).returncode == 0
    assert write(backend=large).returncode == 0  # nobody asked for one of them


@pytest.mark.parametrize("compute, keys, message", [
    ("apprunner", {"backend": dict(BACKEND, websocket={"idle": "60s"})}, "App Runner has no WebSockets"),
    ("apprunner", {"backend": dict(BACKEND, timeout="300s")}, "ends a silent request after 120 s"),
    ("express", {"backend": dict(BACKEND, timeout="300s")}, "ends a silent request after 60 s"),
    ("express", {"backend": dict(BACKEND, persist=["storage"])}, "no disk that outlives a container"),
    ("fargate", {"backend": dict(BACKEND, env={"DATABASE_URL": "sqlite:///x.db"})}, "write \\$DATABASE_URL"),
    ("fargate", {"backend": BACKEND, "secrets": ["OIDC_*"]}, r"OIDC_\* is not passed"),
    ("apprunner", {"backend": BACKEND}, "closed to new customers"),
])
def test_what_will_disappoint_is_a_warning(write, compute, keys, message):
    done = write("there", deploy={"there": {"kind": "aws", "compute": compute}}, **keys)
    said = done.stdout + done.stderr
    assert done.returncode == 0 and re.search("warning: .*" + message, said), said
    quiet = write("there", deploy={"there": {"kind": "aws", "compute": "vm"}}, **copy.deepcopy(keys))
    assert not re.search("warning: .*" + message, quiet.stdout + quiet.stderr)


# ---- prices --------------------------------------------------------------------------------------
def test_prices_are_printed_with_their_date_and_add_up(story):
    assert "an estimate with rates of us-east-1 from 2026-11" in story["said"]
    for compute in COMPUTES:
        price = story[compute]["Metadata"]["Price"]
        assert "estimate" in price["About"] and "2026-11" in price["About"]
        total = float(price["About"].split()[0])
        assert round(sum(float(line.split(":")[0]) for line in price["Includes"]), 2) == total
        assert f"{total:.2f}" in story["said"]


def test_prices_are_what_was_found(write):
    made = write().made  # plain files: the smallest of each
    price = {name: float(made[name]["Metadata"]["Price"]["About"].split()[0]) for name in COMPUTES}
    assert 11 < price["vm"] < 13       # t4g.micro 6.1, disks, an address
    assert 50 < price["express"] < 54  # Fargate 9, load balancer 16.4, addresses 11, database 14, secrets
    assert 50 < price["fargate"] < 54
    assert 17 < price["apprunner"] < 30


# ---- the seed, line by line ----------------------------------------------------------------------
# The design document and the template that was made from it: each line, and where it is kept. Text
# instead of a path says what replaces it and why; {c} is any of the three templates with containers.
SEED_PARAMETERS = {
    "StackName (default story-analytics)": ("pseudo", "AWS::StackName; AppName has the default"),
    "Region (default us-east-1)": ("pseudo", "AWS::Region, what the command is given"),
    "InstanceSize (default db.t4g.micro)": ("Parameters", "DBInstanceClass"),
    "AdminEmail": ("Parameters", "AdminEmail"),
    "AppName": ("Parameters", "AppName"),
    "DBPassword": ("Resources", "DatabaseSecret"),  # made, instead of typed
    "DBInstanceClass": ("Parameters", "DBInstanceClass"),
    "AppRunnerCpu": ("Parameters", "Cpu"),
    "AppRunnerMemory": ("Parameters", "Memory"),
    "ResendApiKey": ("Parameters", "UseResendApiKey"),  # the value is in AppSecrets, not in a parameter
    "FromEmail": ("Parameters", "UseFromEmail"),
    "CredentialEncryptionKey": ("Parameters", "UseCredentialEncryptionKey"),
    "FrontendBaseUrl": ("Parameters", {"express": "PublicUrl", "apprunner": "PublicUrl", "fargate": "DomainName"}),
}
SEED_RESOURCES = {
    "ECR Repository": "Repository", "S3 Bucket, private": "Bucket", "RDS Postgres, private subnets": "Database",
    "password in Secrets Manager": "DatabaseSecret", "VPC": "VPC", "IAM: ECR pull": ("ExecutionRole", "AccessRole"),
    "IAM: S3 access": ("TaskRole", "InstanceRole"), "App Runner service": "Service",
    "VPC connector": {"apprunner": "VPCConnector", "express": "AppSecurityGroup", "fargate": "AppSecurityGroup"},
    "InternetGateway": "InternetGateway", "IGWAttachment": "InternetGatewayAttachment", "PublicSubnet": "PublicSubnetA",
    "PublicRouteTable": "PublicRouteTable", "PublicRoute": "PublicRoute", "PublicSubnetRTAssoc": "PublicSubnetARoutes",
    "NATElasticIP": "S3Endpoint", "NATGateway": "S3Endpoint", "PrivateRoute": "S3Endpoint",  # costs more than the rest
    "PrivateSubnetA": "PrivateSubnetA", "PrivateSubnetB": "PrivateSubnetB", "PrivateRouteTable": "PrivateRouteTable",
    "PrivateSubnetARTAssoc": "PrivateSubnetARoutes", "PrivateSubnetBRTAssoc": "PrivateSubnetBRoutes",
    "RDSSecurityGroup": "DatabaseSecurityGroup", "DBSubnetGroup": "DatabaseSubnets", "RDSInstance": "Database",
    "S3Bucket": "Bucket", "AppRunnerAccessRole": ("AccessRole", "ExecutionRole"),
    "AppRunnerInstanceRole": ("InstanceRole", "TaskRole"), "AppRunnerService": "Service",
}
SEED_OUTPUTS = ["AppUrl", "S3BucketName", "RDSEndpoint", "ECRRepositoryUri", "VPCId"]


@pytest.mark.parametrize("compute", CONTAINERS)
def test_the_seeds_parameters_resources_and_outputs(story, compute):
    template = story[compute]
    for line, (where, name) in SEED_PARAMETERS.items():
        name = name[compute] if isinstance(name, dict) else name
        assert where == "pseudo" or name in template[where], line
    for line, names in SEED_RESOURCES.items():
        names = names[compute] if isinstance(names, dict) else names
        names = (names,) if isinstance(names, str) else names
        assert set(names) & set(template["Resources"]), line
    assert set(SEED_OUTPUTS) <= set(template["Outputs"])
    assert template["Parameters"]["AppName"]["Default"] == "story-analytics"
    assert template["Parameters"]["DBInstanceClass"]["Default"] == "db.t4g.micro"


@pytest.mark.parametrize("compute", CONTAINERS)
def test_the_seeds_details(story, compute):
    template = story[compute]
    database = one(template, "AWS::RDS::DBInstance")
    assert (database["Engine"], database["AllocatedStorage"], database["StorageType"]) == ("postgres", "20", "gp3")
    assert database["StorageEncrypted"] is True and database["BackupRetentionPeriod"] >= 7
    bucket = one(template, "AWS::S3::Bucket")
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"} and bucket["BucketEncryption"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    policy = one(template, "AWS::S3::BucketPolicy")["PolicyDocument"]["Statement"][0]
    assert policy["Effect"] == "Deny" and policy["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert len(resources(template, "AWS::EC2::Subnet")) == 4
    zones = {json.dumps(r["Properties"]["AvailabilityZone"]) for r in resources(template, "AWS::EC2::Subnet").values()}
    assert len(zones) == 2
    assert one(template, "AWS::Logs::LogGroup")["RetentionInDays"] > 0
    assert one(template, "AWS::ECR::Repository")["LifecyclePolicy"]
    json.loads(one(template, "AWS::ECR::Repository")["LifecyclePolicy"]["LifecyclePolicyText"])


def test_the_machine_has_what_applies_to_it(story):
    template = story["vm"]
    # SQLite and no image: neither an endpoint of a database nor a registry
    assert {"AppUrl", "S3BucketName", "VPCId"} <= set(template["Outputs"])
    assert {"AppName", "AdminEmail", "InstanceType", "DomainName"} <= set(template["Parameters"])
