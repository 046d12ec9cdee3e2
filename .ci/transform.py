"""Expand the SAM template as CloudFormation's own transform does, and print the result as JSON.

cfn-lint reads a SAM template without expanding it, so it misses errors that only the expansion shows: a path that is no
literal, or a circular dependency of resources. It needs no account and no network: the location of the code is a dummy.
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
    # The template names no managed policy, so IAM is not called.
    expanded = Translator({}, Parser()).translate(template, parameter_values=defaults)
    print(json.dumps(expanded, indent=1))


if __name__ == "__main__":
    main(sys.argv[1])
