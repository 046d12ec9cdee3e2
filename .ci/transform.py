"""Expand the SAM template as CloudFormation's own transform would, and print what comes out as JSON.

cfn-lint reads a SAM template without expanding it, so it misses what only shows afterwards: a path that is no literal,
resources that refer to each other in a circle. No account and no network is needed: the code's place is made up.
"""

import json
import sys

from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator


def main(path):
    with open(path, encoding="utf-8") as file:
        template = yaml_parse(file.read())
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://code-of-the-functions/function.zip"
    defaults = {name: value["Default"] for name, value in template["Parameters"].items() if "Default" in value}
    # The template names no managed policy, so none is asked of IAM.
    expanded = Translator({}, Parser()).translate(template, parameter_values=defaults)
    print(json.dumps(expanded, indent=1))


if __name__ == "__main__":
    main(sys.argv[1])
