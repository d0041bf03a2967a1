# Starts the studio's API: python -m story_gen.cli.api --host ADDRESS --port NUMBER.
import argparse

import uvicorn


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    uvicorn.run("story_gen.api.app:app", host=options.host, port=options.port)


if __name__ == "__main__":
    main()
