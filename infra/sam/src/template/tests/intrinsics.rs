//! Intrinsic functions and references.

use super::*;

#[test]
fn every_intrinsic_is_evaluated() {
    let sections = "
Parameters: {P: {Type: String, Default: p}}
Conditions:
  Yes: !Equals [!Ref P, p]
  No: !Not [!Condition Yes]
  Same: !Equals [1, '1']
";
    for (value, expected) in [
        ("!Ref P", "p"),
        ("{Ref: P}", "p"),
        ("!Ref Table", "main"),
        ("!Ref Bucket", "agent-factory-bucket"),
        ("!Ref Api", "agent-factory-Api"),
        ("!GetAtt Table.Arn", "arn:aws:dynamodb:local:000000000000:table/main"),
        ("{'Fn::GetAtt': Bucket.Arn}", "arn:aws:s3:::agent-factory-bucket"),
        ("!GetAtt Fn.Arn", "arn:aws:lambda:local:000000000000:function:agent-factory-Fn"),
        ("!Sub 'a-${P}-${Table}-${Bucket.Arn}-${!P}'", "a-p-main-arn:aws:s3:::agent-factory-bucket-${P}"),
        ("!Sub '${AWS::Region} ${AWS::AccountId} ${AWS::StackName}'", "local 000000000000 agent-factory"),
        ("!Sub '${AWS::Partition} ${AWS::URLSuffix}'", "aws amazonaws.com"),
        ("!If [Yes, a, b]", "a"),
        ("!If [No, a, b]", "b"),
        ("!If [Same, a, !Ref Nothing]", "a"),
        ("true", "true"),
        ("1.5", "1.5"),
    ] {
        assert_eq!(variable(value, sections).unwrap().as_deref(), Some(expected), "{value}");
    }
    assert_eq!(variable("!If [No, a, !Ref AWS::NoValue]", sections).unwrap(), None);
}

#[test]
fn an_intrinsic_that_cannot_be_evaluated_is_an_error_with_its_place() {
    let sections = "Parameters: {Empty: {Type: String}}\nConditions: {Odd: !Contains [a, b]}";
    let (place, unknown) = problem(variable("!Ref Nothing", sections));
    assert_eq!(place, "Fn: Environment.Variables.A");
    assert_eq!(unknown, "unknown reference `Nothing`");
    for (value, wanted) in [
        ("!Sub '${Nothing}'", "unknown reference `Nothing`"),
        ("!Ref Empty", "the parameter `Empty` has no value"),
        ("!Ref Topic", "`Topic` is a AWS::SNS::Topic, which has no local value"),
        ("!GetAtt Topic.TopicName", "`Topic` is a AWS::SNS::Topic, which has no local value"),
        ("!GetAtt Bucket.DomainName", "`Bucket` has no attribute `DomainName` here"),
        ("!GetAtt Table.StreamArn", "the table `Table` has no StreamSpecification"),
        ("!GetAtt Table", "`Fn::GetAtt`: needs a resource and an attribute, found \"Table\""),
        ("!ImportValue X", "unsupported intrinsic function `Fn::ImportValue`"),
        ("!Equals [a, a]", "unsupported intrinsic function `Fn::Equals outside of a condition`"),
        ("'{{resolve:ssm:x}}'", "unsupported intrinsic function `{{resolve:…}}`"),
        ("!If [Missing, a, b]", "unknown condition `Missing`"),
        ("!If [a, b]", "`Fn::If`: needs a list of 3, found [\"a\",\"b\"]"),
        ("!Sub '${P'", "`Fn::Sub`: `${` without `}`"),
        ("!Join ['', [a, b]]", "unsupported intrinsic function `Fn::Join`"),
        ("!Sub ['${V}', {V: a}]", "`Fn::Sub`: needs a text"),
        ("[a]", "expected a text, found [\"a\"]"),
    ] {
        let message = variable(value, sections).unwrap_err().to_string();
        assert_eq!(message, format!("Fn: Environment.Variables.A: {wanted}"), "{value}");
    }
    let message = variable("!If [Odd, a, b]", sections).unwrap_err().to_string();
    assert_eq!(message, "Conditions: Odd: unsupported intrinsic function `Fn::Contains`");
}

#[test]
fn a_circular_reference_is_an_error_and_no_stack_overflow() {
    let (_, round) =
        problem(variable("!If [A, a, b]", "Conditions: {A: !Not [!Condition B], B: !Not [!Condition A]}"));
    assert_eq!(round, "nested deeper than 64 levels, or circular");
    let names = resource("{Type: AWS::S3::Bucket, Properties: {BucketName: !Sub 'x-${Thing}'}}");
    assert_eq!(problem(parse(&names)).1, "nested deeper than 64 levels, or circular");
}
