# ONNX's own checker with strict shape inference, for OnnxParityTests. Standard input: a file name a line; one answer a line:
# {"output": [["batch", 10]]}, the shapes that inference finds for the results when it does not know what the file says of them; or {"error": TEXT}.
import json
import sys

import onnx


def check(name):
    model = onnx.load(name)
    onnx.checker.check_model(model, full_check=True)
    claimed = [[d.dim_param or d.dim_value for d in o.type.tensor_type.shape.dim] for o in model.graph.output]
    for o in model.graph.output:
        o.type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    found = [[d.dim_param or d.dim_value for d in o.type.tensor_type.shape.dim] for o in inferred.graph.output]
    return {"claimed": claimed, "found": found}


for line in sys.stdin:
    try:
        answer = check(line.strip())
    except Exception as e:
        answer = {"error": str(e).strip().replace("\n", " ")}
    print(json.dumps(answer), flush=True)
