"""What KServe's client gets from a service: run in its own environment, as `kserve_client.py ADDRESS ROWS`; prints JSON.

ROWS is a JSON file of tensors: name, datatype, shape and data.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from httpx import HTTPStatusError  # type: ignore[import-not-found]
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig  # type: ignore[import-not-found]
from kserve.protocol.infer_type import RequestedOutput  # type: ignore[import-not-found]


def request(tensors: list[dict[str, Any]], *, binary: bool, binary_output: bool) -> InferRequest:
    """A request with inputs in JSON or in binary, for an output in either form."""
    inputs = []
    for tensor in tensors:
        text = tensor["datatype"] == "BYTES"
        values = np.array(tensor["data"], object if text else np.float64).reshape(tensor["shape"])
        infer_input = InferInput(tensor["name"], tensor["shape"], tensor["datatype"])
        infer_input.set_data_from_numpy(values, binary_data=binary)
        inputs.append(infer_input)
    outputs = [RequestedOutput("output", parameters={"binary_data": binary_output})]
    return InferRequest("tiny", inputs, request_id="k1", request_outputs=outputs)


async def results_of(address: str, tensors: list[dict[str, Any]]) -> dict[str, Any]:
    """Health, the scores of each form of request, and the error of a wrong request."""
    result: dict[str, Any] = {"scores": []}
    async with InferenceRESTClient(RESTConfig(protocol="v2", retries=1)) as client:
        result["live"] = await client.is_server_live(address)
        result["ready"] = await client.is_server_ready(address)
        result["model_ready"] = await client.is_model_ready(address, "tiny")
        for binary in (True, False):
            for binary_output in (True, False):
                content = request(tensors, binary=binary, binary_output=binary_output)
                response = await client.infer(address, content, model_name="tiny")
                result["scores"].append(np.asarray(response.outputs[0].as_numpy()).tolist())
                result["id"] = response.id
        try:
            await client.infer(address, request(tensors[:-1], binary=True, binary_output=True), model_name="tiny")
        except HTTPStatusError as error:
            result["error"] = str(error)
    return result


if __name__ == "__main__":
    print(json.dumps(asyncio.run(results_of(sys.argv[1], json.loads(Path(sys.argv[2]).read_text())))))
