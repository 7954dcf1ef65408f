// Runs ONNX files in ONNX Runtime, for OnnxParityTests. Standard input: one JSON object a line, one answer a line.
//
//   {"model": FILE, "runs": [{"input": FILE, "shape": [n, c, h, w], "output": FILE}]}  -> {"input": NAMES, "output": NAMES, "shapes": [[...]]} or {"error": TEXT}
//
// Inputs and outputs are bare floats. The end of the input ends the process.
'use strict';
const fs = require('fs');
const ort = require('onnxruntime-node');

async function run(job) {
  const session = await ort.InferenceSession.create(job.model, { intraOpNumThreads: 1, interOpNumThreads: 1 });
  const shapes = [];
  for (const r of job.runs) {
    const bytes = fs.readFileSync(r.input);
    const values = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
    const y = (await session.run({ [session.inputNames[0]]: new ort.Tensor('float32', values, r.shape) }))[session.outputNames[0]];
    fs.writeFileSync(r.output, Buffer.from(y.data.buffer, y.data.byteOffset, y.data.byteLength));
    shapes.push(y.dims);
  }
  await session.release();
  return { input: session.inputNames, output: session.outputNames, shapes };
}

async function serve() {
  for await (const line of require('readline').createInterface({ input: process.stdin })) {
    let answer;
    try {
      answer = await run(JSON.parse(line));
    } catch (e) {
      answer = { error: String(e.message).split('\n')[0] };
    }
    process.stdout.write(JSON.stringify(answer) + '\n');
  }
}

serve();
