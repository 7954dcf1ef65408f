using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Onnx;
using RefConv.Tests.Models;

namespace RefConv.Tests.Onnx;

/// <summary>
/// What is exported, ONNX Runtime computes as we do, and ONNX's checker accepts: every architecture of the zoo (whatever is added to it comes here by itself),
/// and every operation in a small net of its own.
/// </summary>
/// <remarks>
/// The models here are narrow and their images small; with REFCONV_PARITY_FULL=1 they are as published, which takes minutes. The errors go into the table of
/// all architectures, when it is made (tests/Golden/models_table.sh).
/// </remarks>
public sealed class OnnxParityTests(OnnxParityTests.Exports exports) : IClassFixture<OnnxParityTests.Exports>
{
    [OnnxRuntimeFact]
    public void OnnxRuntimeGivesTheLogitsOfEveryArchitecture()
    {
        Assert.Equal(Zoo.Names.Order(), exports.Models.Select(m => m.Name).Order());
        AssertAll(exports.Models.Select(m => m.Difference(1e-4)));
        foreach (var model in exports.Models) ModelsTable.Record(model.Name, "onnx error", model.Error);
    }

    [OnnxRuntimeFact]
    public void OnnxRuntimeComputesEveryOperationAsWeDo() => AssertAll(exports.Operations.Select(m => m.Difference(1e-5)));

    [OnnxCheckerFact]
    public void TheCheckerAcceptsEveryFile() => AssertAll(exports.All.Select(m => m.Complaint));

    private static void AssertAll(IEnumerable<string?> problems)
    {
        string[] all = [.. problems.OfType<string>()];
        Assert.True(all.Length == 0, string.Join("\n", all));
    }

    /// <summary>One exported net: what we compute, and what others say of the file.</summary>
    public sealed class Exported(string name, string folder)
    {
        private readonly string _stem = Path.Combine(folder, string.Concat(name.Select(c => char.IsAsciiLetterOrDigit(c) ? c : '_')));

        public string Name => name;

        public string Onnx => _stem + ".onnx";

        public double Error { get; private set; }

        public int Size => Runs[0].X[1];

        public JsonObject? Check { get; set; }

        public JsonObject? Runtime { get; set; }

        /// <summary>Batches of one and of three images, through the same file.</summary>
        private List<(Shape X, Shape Y, float[] Expected)> Runs { get; } = [];

        public string? Complaint => Check switch
        {
            null => $"{name}: not checked",
            { } c when c["error"] is { } error => $"{name}: {error}",
            { } c when !SameShape(c["claimed"]![0]!.AsArray(), c["found"]![0]!.AsArray()) => $"{name}: shapes {c["claimed"]!.ToJsonString()} claimed, {c["found"]!.ToJsonString()} inferred",
            _ => null,
        };

        public void Export(Module module, Shape input)
        {
            Draw(module);
            if (Exports.IsFull && module is Model published) SetStatistics(published);
            module.Eval();
            var options = new OnnxOptions { TrainingForm = module is IReparameterized };
            _ = module is Model model ? OnnxExporter.Export(model, Onnx, options) : OnnxExporter.Export(module, input, Onnx, options);
            foreach (int batch in (int[])[1, 3])
            {
                var shape = new Shape(batch, input[1], input[2], input[3]);
                var random = new RandomStream(5, (ulong)batch);
                float[] values = new float[shape.Count];
                for (int i = 0; i < values.Length; i++) values[i] = (float)random.NextNormal();
                using var x = Tensor.From(module.NamedParameters().First().Parameter.Device, values, shape);
                using var tape = Tape.Inference();
                var y = module.Forward(x);
                Runs.Add((shape, y.Shape, ChannelsFirst(y.ToArray(), y.Shape)));
                File.WriteAllBytes($"{_stem}.{batch}.in", MemoryMarshal.AsBytes<float>(ChannelsFirst(values, shape)));
            }
        }

        public JsonObject Job() => new()
        {
            ["model"] = Onnx,
            ["runs"] = new JsonArray([.. Runs.Select(r => (JsonNode)new JsonObject
            {
                ["input"] = $"{_stem}.{r.X[0]}.in",
                ["shape"] = new JsonArray(r.X[0], r.X[3], r.X[1], r.X[2]),
                ["output"] = $"{_stem}.{r.X[0]}.out",
            })]),
        };

        /// <summary>What is wrong with the peer's results; null when they are ours within a tolerance relative to the largest value.</summary>
        public string? Difference(double tolerance)
        {
            if (Runtime?["error"] is { } error) return $"{name}: {error}";
            string result = Runs[0].Y.Rank == 4 ? """["output"]""" : """["logits"]""";
            if (Runtime!["input"]!.ToJsonString() != """["input"]""" || Runtime["output"]!.ToJsonString() != result) return $"{name}: its values are called {Runtime.ToJsonString()}";
            for (int i = 0; i < Runs.Count; i++)
            {
                var (x, y, expected) = Runs[i];
                float[] given = MemoryMarshal.Cast<byte, float>(File.ReadAllBytes($"{_stem}.{x[0]}.out")).ToArray();
                string shape = Runtime["shapes"]![i]!.ToJsonString(), wanted = $"[{string.Join(',', FileShape(y))}]";
                if (shape != wanted) return $"{name}, batch {x[0]}: result {shape}, not {wanted}";
                double largest = expected.Max(v => Math.Abs((double)v)), difference = expected.Zip(given, (a, b) => Math.Abs((double)a - b)).Max();
                // Values that are all alike would hide any error.
                if (!(largest > 1e-3) || !(expected.Max() - expected.Min() > 0.01 * largest)) return $"{name}: our own values say nothing (largest {largest})";
                Error = Math.Max(Error, difference / largest);
                if (!(difference <= tolerance * largest)) return $"{name}, batch {x[0]}: differs by {difference / largest:E2} of the largest value";
            }
            return null;
        }

        /// <summary>What is said to be free (the batch, a picture's size) must not be a number; inference forgets the names behind some operators.</summary>
        private static bool SameShape(JsonArray claimed, JsonArray found) => claimed[0]!.ToString() == "batch" && claimed.Count == found.Count
            && claimed.Zip(found).All(d => d.First!.GetValueKind() == JsonValueKind.String
                ? d.Second!.GetValueKind() == JsonValueKind.String || (int)d.Second == 0
                : d.First.ToJsonString() == d.Second!.ToJsonString());

        private static int[] FileShape(Shape y) => y.Rank == 4 ? [y[0], y[3], y[1], y[2]] : y.Sizes.ToArray();

        private static float[] ChannelsFirst(float[] values, Shape shape) => shape.Rank != 4 ? values
            : new ParameterLayout(shape, new Shape(shape[0], shape[3], shape[1], shape[2]), [0, 2, 3, 1]).ToTorch<float>(values);

        /// <summary>
        /// Running statistics of four images. Where norms do not hold values in range they grow from block to block; at full depth a gate of squeeze and excitation is then the
        /// difference of large numbers, and our scores, like ONNX Runtime's, are a thousandth away from those in double precision, each elsewhere.
        /// </summary>
        private static void SetStatistics(Model model)
        {
            var norms = model.NamedModules().Select(m => m.Module).OfType<BatchNorm2d>().ToArray();
            if (norms.Length == 0) return;
            double[] momentum = [.. norms.Select(n => n.Momentum)];
            foreach (var norm in norms) norm.Momentum = 1;
            var shape = model.InputShape(4);
            var random = new RandomStream(5, 9);
            float[] values = new float[shape.Count];
            for (int i = 0; i < values.Length; i++) values[i] = (float)random.NextNormal();
            model.Train();
            using (var x = Tensor.From(norms[0].Weight.Device, values, shape))
            using (Tape.Inference())
                _ = model.Forward(x);
            for (int i = 0; i < norms.Length; i++) norms[i].Momentum = momentum[i];
        }

        /// <summary>Weights that keep values in range through any depth, and norms as training leaves them: fresh ones (0, 1, 1, 0) would hide most errors of folding.</summary>
        private static void Draw(Module module)
        {
            ulong stream = 0;
            foreach (var (key, parameter) in module.NamedParameters())
            {
                var random = new RandomStream(12, ++stream);
                // A net of one operation comes with the weights it wants.
                if (parameter.IsInteger || (parameter.TorchShape.Rank > 1 && module is not Model && parameter.ToTorch().Any(w => w != 0))) continue;
                bool variance = key.EndsWith("running_var", StringComparison.Ordinal), scale = parameter.TorchShape.Rank == 1 && key.EndsWith("weight", StringComparison.Ordinal);
                double spread = parameter.TorchShape.Rank > 1 ? Math.Sqrt(2.0 * parameter.TorchShape[0] / parameter.TorchShape.Count) : 0.2;
                float[] values = new float[parameter.TorchShape.Count];
                for (int i = 0; i < values.Length; i++)
                {
                    double z = random.NextNormal();
                    values[i] = (float)(variance ? 0.7 + (0.3 * z * z) : scale ? 1 + (0.2 * z) : z * spread);
                }
                parameter.FromTorch(values);
            }
        }
    }

    /// <summary>Everything exported once, and shown to both peers in one process each.</summary>
    public sealed class Exports : IDisposable
    {
        private readonly TemporaryFolder _folder = new();

        public Exports()
        {
            using var device = new CpuDevice(threads: 1);
            foreach (var test in OnnxCases.All)
            {
                using var module = test.Create(new Initializer(device, 3));
                Export(Operations, test.Name, module, test.Input);
            }
            foreach (string name in Zoo.Names)
            {
                using var model = Create(name, device);
                Export(Models, name, model, model.InputShape(1));
            }
            ShowToPeers([.. All.Where(e => File.Exists(e.Onnx))]);
        }

        internal static bool IsFull { get; } = Environment.GetEnvironmentVariable("REFCONV_PARITY_FULL") == "1";

        public List<Exported> Models { get; } = [];

        public List<Exported> Operations { get; } = [];

        public IEnumerable<Exported> All => Operations.Concat(Models);

        public void Dispose() => _folder.Dispose();

        private void Export(List<Exported> list, string name, Module module, Shape input)
        {
            var exported = new Exported(name, _folder.Path);
            exported.Export(module, input);
            list.Add(exported);
            if (!IsFull) return;
            // All of them together would not fit on every disk.
            ShowToPeers([exported]);
            File.Delete(exported.Onnx);
        }

        private static void ShowToPeers(Exported[] some)
        {
            if (some.Length == 0) return;
            if (OnnxPeers.Python != null) Answers(OnnxPeers.Check(some.Select(e => e.Onnx)), (e, answer) => e.Check = answer);
            if (OnnxPeers.NodeModules != null) Answers(OnnxPeers.Run(some.Select(e => e.Job())), (e, answer) => e.Runtime = answer);

            void Answers(List<JsonObject> answers, Action<Exported, JsonObject> set)
            {
                foreach (var (exported, answer) in some.Zip(answers)) set(exported, answer);
            }
        }

        /// <summary>Narrow and for small pictures, where the architecture can be; or as published.</summary>
        private static Model Create(string name, Device device)
        {
            var spec = new ModelSpec(name);
            var narrow = spec with { Classes = 10, Width = 0.125 };
            ArgumentException? refusal = null;
            foreach (var attempt in IsFull ? (ModelSpec[])[spec] : [narrow with { ImageSize = 64 }, spec with { Classes = 10, ImageSize = 64 }, narrow, spec])
            {
                try
                {
                    return Zoo.Create(attempt, Initializer.ForLoading(device));
                }
                catch (ArgumentException e)
                {
                    refusal = e;
                }
            }
            throw refusal!;
        }
    }
}
