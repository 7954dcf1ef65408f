using System.Runtime.InteropServices;
using RefConv.Cases;
using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Optim;

namespace RefConv.Bits;

/// <summary>
/// One line a computation, with a hash of all bits of its results: every row of the case tables, a training step and the plans of every architecture, and a step of
/// every training form. A change of structure keeps the file: <c>dotnet run -c Release --project tests/Bits > before</c>, and the same after it, at every vector width.
/// </summary>
internal static class Program
{
    private static readonly int[] ThreadCounts = [1, 2, 3];

    private static int Main(string[] args)
    {
        if (args.Any(a => a is not ("--help" or "-h") && a.StartsWith('-')) || args.Contains("--help") || args.Contains("-h"))
        {
            Console.Error.WriteLine("Prints a hash of every kernel row, training step and plan. Give words to print only lines that contain one of them: rows, steps, plans, forms, Conv2d, resnet18, …");
            return args.Contains("--help") || args.Contains("-h") ? 0 : 2;
        }
        using (var device = new CpuDevice(1)) Console.Error.WriteLine(device.Description);
        int different = 0;
        foreach (var (name, run) in Rows().Concat(Steps()).Concat(Plans()).Concat(Forms()))
        {
            if (args.Length > 0 && !args.Any(a => name.Contains(a, StringComparison.OrdinalIgnoreCase))) continue;
            string[] hashes = [.. ThreadCounts.Select(threads => Hash(run, threads))];
            if (hashes.Distinct().Count() > 1) different++;
            Console.WriteLine($"{(hashes.Distinct().Count() > 1 ? "THREADS DIFFER " : "")}{hashes[0]} {name}");
        }
        return different == 0 ? 0 : 1;
    }

    private static string Hash(Action<CpuDevice, Digest> run, int threads)
    {
        using var device = new CpuDevice(threads);
        Digest digest = new();
        try
        {
            run(device, digest);
        }
        catch (Exception e) when (e is NotSupportedException or ArgumentException or InvalidOperationException)
        {
            return $"refused:{e.GetType().Name}";
        }
        return digest.ToString();
    }

    private static IEnumerable<(string, Action<CpuDevice, Digest>)> Rows() => CaseTables.All.Where(c => !c.BenchmarkOnly).Select(c => ($"rows {c}", (Action<CpuDevice, Digest>)((device, digest) =>
    {
        if (!c.IsFor(device)) return;
        foreach (double[] operand in KernelComparison.Run(c, device)) digest.Add(operand);
    })));

    private static IEnumerable<(string, Action<CpuDevice, Digest>)> Steps() => Specs().Select(spec => ($"steps {spec} at {spec.ImageSize}", (Action<CpuDevice, Digest>)((device, digest) =>
    {
        using var model = Zoo.Create(spec, new Initializer(device, seed: 7));
        Train(model, digest);
    })));

    private static IEnumerable<(string, Action<CpuDevice, Digest>)> Forms() =>
        from architecture in (string[])["mobilenet_v2", "resnet20"]
        from method in Reparameterizations.Names
        select ($"forms {architecture} {method}", (Action<CpuDevice, Digest>)((device, digest) =>
        {
            using var plain = Zoo.Create(Small(architecture), new Initializer(device, seed: 7));
            using var model = plain.Expand(Reparameterizations.Create(method));
            Train(model, digest);
        }));

    private static IEnumerable<(string, Action<CpuDevice, Digest>)> Plans() =>
        from spec in Specs()
        from accuracy in (Conv2dAccuracy[])[Conv2dAccuracy.Exact, Conv2dAccuracy.Fast]
        select ($"plans {spec} at {spec.ImageSize} {accuracy}", (Action<CpuDevice, Digest>)((device, digest) =>
        {
            using var model = Zoo.Create(spec, new Initializer(device, seed: 7));
            model.Eval();
            using var x = model.Probe(2);
            using var plan = model.Compile(2, accuracy);
            digest.Add(plan.Run(x).ToArray());
        }));

    /// <summary>Every architecture on small pictures; those that differ in their stems and sizes of maps also as they are, and with fast convolutions.</summary>
    private static IEnumerable<ModelSpec> Specs() =>
    [
        .. Zoo.Names.Where(name => !name.StartsWith("repvgg_b", StringComparison.Ordinal) || name is "repvgg_b0" or "repvgg_b1g4").Select(Small),
        .. ((string[])["mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small", "resnet18", "efficientnet_b0", "shufflenet_v2_x1_0", "shufflenet_v1_g3_x1_0", "repvgg_a0"])
            .Select(name => new ModelSpec(name) { Classes = 10, ImageSize = 160 }),
    ];

    private static ModelSpec Small(string name) => name.StartsWith("sesr", StringComparison.Ordinal)
        ? new ModelSpec(name) { ImageSize = 20, InChannels = 1 }
        : new ModelSpec(name) { Classes = 10, ImageSize = 32, SmallImages = true };

    /// <summary>Two steps, the second with fast convolutions: loss and all values after each.</summary>
    private static void Train(Model model, Digest digest)
    {
        model.Train();
        using var optimizer = new Sgd([new ParameterGroup(model.NamedParameters().Where(p => p.Parameter.Trainable).ToArray(), 4e-5)], momentum: 0.9);
        for (int step = 0; step < 2; step++)
        {
            ((CpuDevice)model.Device).ConvolutionAccuracy = step == 0 ? Conv2dAccuracy.Exact : Conv2dAccuracy.Fast;
            using var x = model.Probe(2);
            using var labels = Tensor.From(model.Device, (float[])[3, 5], new Shape(2));
            using (var tape = Tape.Train(step, seed: 3))
            {
                var y = model.Forward(x);
                Tensor loss;
                if (model.Task == ModelTask.Classification) loss = y.CrossEntropy(labels);
                else
                {
                    var target = Tensor.Full(model.Device, y.Shape, 0.5f);
                    loss = y.L1Loss(target);
                }
                digest.Add(loss.ToArray());
                tape.Backward(loss);
            }
            optimizer.Step(0.01);
            optimizer.ZeroGrad();
            foreach (var (_, parameter) in model.NamedParameters()) digest.Add(parameter.ToArray());
        }
    }

    /// <summary>FNV-1a over words of 32 bits, 64 bits wide.</summary>
    private sealed class Digest
    {
        private ulong _hash = 14695981039346656037;

        public void Add(ReadOnlySpan<float> values)
        {
            foreach (uint word in MemoryMarshal.Cast<float, uint>(values)) _hash = (_hash ^ word) * 1099511628211;
        }

        public void Add(double[] values) => Add(Array.ConvertAll(values, v => (float)v));

        public override string ToString() => _hash.ToString("x16");
    }
}
