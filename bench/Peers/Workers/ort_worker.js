// ONNX Runtime's side of the comparison. Started by the benchmark, which alternates it with our engine.
//
//   node ort_worker.js THREADS                      one JSON object a line on standard input, one answer a line on standard output:
//
//     {"do": "load", "onnx": FILE, "images": FILE, "shape": [n, c, h, w]}  -> {}
//     {"do": "check"}                                                      -> {"values": {"score 0": ...}}
//     {"do": "run", "times": N}                                            -> {"ms": milliseconds of one}
//     {"do": "unload"}                                                     -> {}
//
//   node ort_worker.js THREADS answer ONNX IMAGES n c h w    prints the scores and ends: how long does a fresh process take?
//
// The end of the input ends the process. {"error": TEXT} answers what cannot be done.
'use strict';
const answer = values => process.stdout.write(JSON.stringify(values) + '\n');
process.on('SIGINT', () => {}); // a Ctrl-C is for the benchmark, which then closes our input

let ort;
try {
  ort = require('onnxruntime-node');
} catch (e) {
  answer({ error: String(e.message).split('\n')[0] });
  process.exit(1);
}
const fs = require('fs');
const threads = Number(process.argv[2]);

const open = onnx => ort.InferenceSession.create(onnx,
  { intraOpNumThreads: threads, interOpNumThreads: 1, executionMode: 'sequential', graphOptimizationLevel: 'all' });

// Milliseconds. One thread by processor time, which a busy neighbour hardly changes; several, which wait for each other, by the clock on the wall.
function clock() {
  if (threads > 1) return Number(process.hrtime.bigint()) / 1e6;
  const used = process.cpuUsage();
  return (used.user + used.system) / 1e3;
}

function read(file, shape) {
  const bytes = fs.readFileSync(file);
  const values = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  return { x: new ort.Tensor('float32', values, shape) };
}

async function serve() {
  answer({ onnxruntime: require('onnxruntime-node/package.json').version, node: process.versions.node, threads });
  let session = null, feeds = null;
  for await (const line of require('readline').createInterface({ input: process.stdin })) {
    try {
      const q = JSON.parse(line);
      if (q.do === 'load') {
        session = await open(q.onnx);
        feeds = read(q.images, q.shape);
        answer({});
      } else if (q.do === 'check') {
        const scores = (await session.run(feeds)).y.data, values = {};
        scores.forEach((v, i) => { values['score ' + i] = v; });
        answer({ values });
      } else if (q.do === 'run') {
        const started = clock();
        for (let i = 0; i < q.times; i++) await session.run(feeds);
        answer({ ms: (clock() - started) / q.times });
      } else if (q.do === 'unload') {
        if (session) await session.release();
        session = feeds = null;
        answer({});
      } else {
        answer({ error: `there is no '${q.do}'` });
      }
    } catch (e) {
      answer({ error: String(e.message) });
    }
  }
}

async function once([onnx, images, ...shape]) {
  const session = await open(onnx);
  const result = await session.run(read(images, shape.map(Number)));
  answer({ scores: Array.from(result.y.data.slice(0, 10)) });
  process.exit(0);
}

if (process.argv[3] === 'answer') once(process.argv.slice(4)); else serve();
