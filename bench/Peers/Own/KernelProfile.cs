using System.Globalization;
using RefConv.Kernels;

namespace RefConv.Bench;

/// <summary>Where the time of our side's step goes: kernels and kinds by share, parts of the step, and what is spent outside kernels.</summary>
internal static class KernelProfile
{
    private const string Outside = "(outside kernels)";

    /// <summary>A line of the table.</summary>
    private readonly record struct Key(Phase Phase, string Kernel, string Kind);

    /// <summary>One step's sum over the calls of a key.</summary>
    private sealed class Sum
    {
        public int Calls;
        public double Milliseconds, Flops, Bytes;
    }

    /// <summary>Profiles one form of a case.</summary>
    /// <param name="row">The case.</param>
    /// <param name="form">Plain or RefConv.</param>
    /// <param name="threads">0 for all cores.</param>
    /// <param name="steps">Steps to run; medians are over the faster half of them, the less disturbed one.</param>
    /// <param name="byShape">A line for every geometry.</param>
    public static void Print(ModelCase row, string form, int threads, int steps, bool byShape)
    {
        using var device = new ProfilingDevice(new CpuDevice(threads));
        using var engine = new OwnModel(row, form, device);
        var phase = Phase.Forward;
        Dictionary<Key, Sum> current = [];
        engine.OnPhase = p => phase = p;
        device.OnCall = call =>
        {
            var key = new Key(phase, call.Kernel, byShape ? $"{call.Geometry}" : call.Kind);
            if (!current.TryGetValue(key, out var sum)) current[key] = sum = new Sum();
            sum.Calls++;
            sum.Milliseconds += call.Milliseconds;
            sum.Flops += call.Flops;
            sum.Bytes += 4.0 * call.Elements;
        };
        WarmUp.Own(engine.Run);
        List<(double Wall, Dictionary<Key, Sum> Sums)> profile = [];
        var load = OtherLoad.Start([]);
        for (int i = 0; i < steps; i++)
        {
            current = [];
            profile.Add((engine.Run(1), current));
        }
        var faster = profile.OrderBy(p => p.Wall).Take((steps + 1) / 2).ToArray();
        string title = $"{row.Name} {form}: {row.Spec}, batch {row.Batch}, {device.Description}\nmedians of the faster half of {steps} steps; other processes took {load.Share():P0} of the machine";
        Print(title, [.. faster.Select(p => p.Sums)], [.. faster.Select(p => p.Wall)]);
    }

    private static void Print(string title, List<Dictionary<Key, Sum>> steps, List<double> wall)
    {
        var lines = steps[0].Select(p => (p.Key, Sum: p.Value, Milliseconds: Statistics.Quantile(steps.Select(s => s[p.Key].Milliseconds), 0.5)))
            .OrderByDescending(l => l.Milliseconds).ToArray();
        double step = Statistics.Quantile(wall, 0.5);
        double outside = Statistics.Quantile(steps.Select((s, i) => wall[i] - s.Values.Sum(v => v.Milliseconds)), 0.5);
        double total = lines.Sum(l => l.Milliseconds) + outside;
        int width = lines.Max(l => l.Key.Kernel.Length + l.Key.Kind.Length + 1);
        Write($"\n{title}\nmedian step {step:F2} ms, fastest {wall.Min():F2} ms\n");
        Write($"{"kernel".PadRight(width)}  {"part",-9} {"calls",5} {"ms",9} {"share",7} {"GFLOP/s",8} {"GB/s",7}");
        foreach (var (key, sum, ms) in lines)
        {
            string flops = sum.Flops > 0 ? (sum.Flops / ms / 1e6).ToString("F1", CultureInfo.InvariantCulture) : "";
            Write($"{$"{key.Kernel} {key.Kind}".PadRight(width)}  {key.Phase,-9} {sum.Calls,5} {ms,9:F3} {ms / total,7:P1} {flops,8} {sum.Bytes / ms / 1e6,7:F1}");
        }
        Write($"{Outside.PadRight(width)}  {"",-9} {"",5} {outside,9:F3} {outside / total,7:P1}");
        foreach (var part in lines.GroupBy(l => l.Key.Phase).OrderBy(g => g.Key))
        {
            double ms = part.Sum(l => l.Milliseconds);
            Write($"{("= " + part.Key).PadRight(width)}  {"",-9} {part.Sum(l => l.Sum.Calls),5} {ms,9:F3} {ms / total,7:P1}");
        }
    }

    private static void Write(FormattableString line) => Console.WriteLine(line.ToString(CultureInfo.InvariantCulture));
}
