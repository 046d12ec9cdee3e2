"""Check the limits of AWS that no linter checks, on the template as SAM expands it: the output of transform.py.

Every name is as long as it can be: a stack name of 128 characters in the longest region. The limits are those of
tests/tests/architecture/template/limits.rs, which checks them without Python on its own expansion.
"""

import json
import re
import sys
from collections import defaultdict

STACK_NAME_LEN = 128
# The longest value of each. They belong to different regions, so every real ARN is shorter.
PSEUDO_PARAMETERS = {
    "AWS::StackName": "s" * STACK_NAME_LEN,
    "AWS::Region": "us-isof-south-1",
    "AWS::Partition": "aws-us-gov",
    "AWS::AccountId": "0" * 12,
    "AWS::URLSuffix": "amazonaws.com.cn",
    "AWS::NoValue": None,
}
ARN = "arn:aws-us-gov:{}:us-isof-south-1:000000000000:{}"
# Characters of the longest value of parameters without AllowedValues. A URL has the longest host name.
PARAMETER_LENS = {"DeploymentId": 32, "WebhookPathPrefix": 65, "TelegramApiUrl": 261, "FlyApiUrl": 264}
# The property with a resource's name, and the length at which CloudFormation cuts a name that it makes.
NAMES = {
    "AWS::DynamoDB::Table": ("TableName", 255),
    "AWS::Events::Rule": ("Name", 64),
    "AWS::IAM::Role": ("RoleName", 64),
    "AWS::Lambda::Function": ("FunctionName", 64),
    "AWS::Logs::LogGroup": ("LogGroupName", 512),
    "AWS::S3::Bucket": ("BucketName", 63),
    "AWS::SQS::Queue": ("QueueName", 80),
    "AWS::SecretsManager::Secret": ("Name", 512),
}
MAX_DESCRIPTION_LENS = {
    "AWS::CloudWatch::Alarm": ("AlarmDescription", 1024),
    "AWS::Events::Rule": ("Description", 512),
    "AWS::Lambda::Function": ("Description", 256),
    "AWS::SecretsManager::Secret": ("Description", 2048),
}
# Half of Lambda's 20 480 bytes, which leaves room for further permissions.
MAX_RESOURCE_POLICY_BYTES = 10 * 1024
MAX_INLINE_POLICY_CHARS = 10240
MAX_RESOURCES = 500
MAX_ROUTES = 300
MAX_ENVIRONMENT_BYTES = 4 * 1024
MAX_GLOBAL_INDEXES = 20
MAX_LOCAL_INDEXES = 5
MAX_API_TITLE_LEN = 128
MAX_STATEMENT_ID_LEN = 100


def compact(value):
    return json.dumps(value, separators=(",", ":"))


def generated_name(resource_id, max_len):
    tail = f"-{resource_id}-{'x' * 13}"
    return (("s" * min(STACK_NAME_LEN, max(0, max_len - len(tail)))) + tail)[:max_len]


class Names:
    """Replaces intrinsic functions by the longest text that they can produce."""

    def __init__(self, template):
        self.parameters = template["Parameters"]
        self.resources = template["Resources"]

    def value(self, value):
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (name, argument), = value.items()
            if name == "Ref":
                return self.reference(argument)
            if name == "Fn::GetAtt":
                return self.attribute(*argument)
            if name == "Fn::Sub":
                return self.substitute(argument)
            if name == "Fn::If":
                return max((self.value(branch) for branch in argument[1:]), key=lambda branch: len(compact(branch)))
            if name == "Fn::Split":
                separator, text = argument
                return self.value(text).split(separator)
            if name.startswith("Fn::"):
                raise ValueError(f"{name} has no longest value")
        values = {name: self.value(item) for name, item in value.items()}
        return {name: item for name, item in values.items() if item is not None}

    def substitute(self, argument):
        text, variables = argument if isinstance(argument, list) else (argument, {})

        def longest(match):
            name = match[1]
            if name in variables:
                return self.value(variables[name])
            return self.attribute(*name.split(".")) if "." in name else self.reference(name)

        return re.sub(r"\$\{([^}]+)\}", longest, text)

    def reference(self, name):
        if name in PSEUDO_PARAMETERS:
            return PSEUDO_PARAMETERS[name]
        if name in PARAMETER_LENS:
            return "p" * PARAMETER_LENS[name]
        if name in self.parameters:
            declared = self.parameters[name]
            return max([declared["Default"], *declared.get("AllowedValues", [])], key=lambda value: len(str(value)))
        kind = self.resources[name]["Type"]
        if kind == "AWS::SecretsManager::Secret":
            return self.attribute(name, "Arn")
        return "a1b2c3d4e5" if kind == "AWS::ApiGatewayV2::Api" else self.physical(name)

    def attribute(self, resource_id, attribute):
        kind, name = self.resources[resource_id]["Type"], self.physical(resource_id)
        return {
            ("AWS::DynamoDB::Table", "Arn"): ARN.format("dynamodb", f"table/{name}"),
            ("AWS::DynamoDB::Table", "StreamArn"): ARN.format("dynamodb", f"table/{name}/stream/2026-01-01T00:00:00.000"),
            ("AWS::Events::Rule", "Arn"): ARN.format("events", f"rule/{name}"),
            ("AWS::IAM::Role", "Arn"): f"arn:aws-us-gov:iam::000000000000:role/{name}",
            ("AWS::Lambda::Function", "Arn"): ARN.format("lambda", f"function:{name}"),
            ("AWS::Logs::LogGroup", "Arn"): ARN.format("logs", f"log-group:{name}:*"),
            ("AWS::S3::Bucket", "Arn"): f"arn:aws-us-gov:s3:::{name}",
            ("AWS::SQS::Queue", "Arn"): ARN.format("sqs", name),
            ("AWS::SQS::Queue", "QueueName"): name,
            ("AWS::SecretsManager::Secret", "Arn"): ARN.format("secretsmanager", f"secret:{name}-AbCdEf"),
        }[kind, attribute]

    def physical(self, resource_id):
        resource = self.resources[resource_id]
        name, max_len = NAMES[resource["Type"]]
        declared = self.value(resource.get("Properties", {}).get(name))
        return declared or generated_name(resource_id, max_len)


def sizes(template):
    """Yield each measure with its size and its limit."""
    names = Names(template)
    resources = [(id, r["Type"], names.value(r.get("Properties", {}))) for id, r in template["Resources"].items()]
    yield "resources", len(resources), MAX_RESOURCES
    statements = defaultdict(list)
    for resource_id, kind, properties in resources:
        for field, limit in (pair for table in (NAMES, MAX_DESCRIPTION_LENS) if (pair := table.get(kind))):
            yield f"{field} of {resource_id}", len(properties.get(field, "")), limit
        if kind == "AWS::Lambda::Permission":
            statements[properties["FunctionName"]].append({
                "Sid": generated_name(resource_id, MAX_STATEMENT_ID_LEN),
                "Effect": "Allow",
                "Principal": {"Service": properties["Principal"]},
                "Action": properties["Action"],
                "Resource": ARN.format("lambda", f"function:{properties['FunctionName']}"),
                # The URL of a function has no source. The conditions of its permissions are shorter than this one.
                "Condition": {"ArnLike": {"AWS:SourceArn": properties.get("SourceArn", "lambda:InvokedViaFunctionUrl")}},
            })
        elif kind == "AWS::IAM::Role":
            policies = sum(len(compact(policy["PolicyDocument"])) for policy in properties.get("Policies", []))
            yield f"inline policies of {resource_id}", policies, MAX_INLINE_POLICY_CHARS
        elif kind == "AWS::Lambda::Function":
            variables = properties.get("Environment", {}).get("Variables", {})
            yield f"environment of {resource_id}", len(compact(variables)), MAX_ENVIRONMENT_BYTES
        elif kind == "AWS::ApiGatewayV2::Api":
            body = properties["Body"]
            yield f"routes of {resource_id}", sum(map(len, body["paths"].values())), MAX_ROUTES
            yield f"title of {resource_id}", len(body["info"]["title"]), MAX_API_TITLE_LEN
        elif kind == "AWS::DynamoDB::Table":
            yield f"global indexes of {resource_id}", len(properties.get("GlobalSecondaryIndexes", [])), MAX_GLOBAL_INDEXES
            yield f"local indexes of {resource_id}", len(properties.get("LocalSecondaryIndexes", [])), MAX_LOCAL_INDEXES
    for function, own in statements.items():
        policy = {"Version": "2012-10-17", "Id": "default", "Statement": own}
        yield f"resource policy of {function}", len(compact(policy)), MAX_RESOURCE_POLICY_BYTES


def main(path):
    with open(path, encoding="utf-8") as file:
        measured = list(sizes(json.load(file)))
    for what, size, limit in sorted(measured, key=lambda row: row[1] / row[2], reverse=True)[:5]:
        print(f"{what}: {size} of at most {limit}")
    above = [f"{what}: {size} is more than {limit}" for what, size, limit in measured if size > limit]
    if above:
        sys.exit("\n".join(above))


if __name__ == "__main__":
    main(sys.argv[1])
