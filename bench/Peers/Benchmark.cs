using RefConv.Bench.Peers;
using RefConv.Kernels;

namespace RefConv.Bench;

/// <summary>Runs the cases asked for and prints what comes out.</summary>
/// <param name="settings">What was asked for.</param>
/// <param name="say">For warnings.</param>
internal sealed class Benchmark(BenchSettings settings, Action<string> say, CancellationToken cancellation)
{
    private const int Failed = 1, Interrupted = 130;

    /// <summary>
    /// With --quick no case begins after so many seconds: on a busy machine, where threads of different engines wait for each other, it would
    /// otherwise not be quick.
    /// </summary>
    private const double QuickSeconds = 190;

    private readonly long _started = System.Diagnostics.Stopwatch.GetTimestamp();

    /// <summary>Exit code: 0 done, 1 engines disagreed, 130 interrupted.</summary>
    /// <exception cref="ArgumentException">What was asked for makes no sense.</exception>
    /// <exception cref="PeerMissingException">A peer that is needed is not installed.</exception>
    public int Run()
    {
        settings.Check();
        var wanted = CaseList.FindClass(settings.Class);
        var chosen = CaseList.Choose(settings.Only, wanted, settings.Quick);
        BenchCase[] cases = [.. chosen.Where(c => c.Unavailable == null)];
        if (settings.List) return List(chosen);
        if (settings.Explain) return Explain(cases);
        if (cases.Length == 0) throw new ArgumentException($"Nothing to time: {chosen[0].Unavailable} ({string.Join(", ", chosen.Select(c => c.Title))}).");
        if (settings.Profile) return Profile([.. cases.OfType<ModelCase>()]);

        using var device = new CpuDevice(settings.Threads);
        using var peers = settings.Peers ? PeerSet.Start(settings, wanted, cases, device.Threads, say) : PeerSet.None;
        var report = new BenchReport(settings, device, [.. peers.Workers.Select(w => w.Description)], Ceilings.Measure(device.Threads));
        report.Unavailable.AddRange(chosen.Except(cases));
        if (!settings.Json)
        {
            foreach (var (name, value) in report.Header()) Console.Out.WriteLine($"{name + ":",-9} {value}");
            Console.Out.WriteLine($"\n{TextTable.Heading(settings.Peers)}");
        }
        RunAll(cases, device, peers, report);
        if (settings.Json) Console.Out.WriteLine(report.Summary().ToJsonString());
        else PrintEnd(report);
        if (settings.Out is { } file) report.Save(file);
        return report.Stopped ? Interrupted : report.Disagreements.Count > 0 ? Failed : 0;
    }

    private void RunAll(BenchCase[] cases, Device device, PeerSet peers, BenchReport report)
    {
        using var layers = new LayerRunner(device, peers, settings.LayerPlan, cancellation);
        var models = new ModelRunner(device, peers, settings.ModelPlan, cancellation);
        var processes = new ProcessRunner(device, peers, settings.Starts, cancellation);
        var progress = new Progress(cases);
        try
        {
            for (int i = 0; i < cases.Length; i++)
            {
                cancellation.ThrowIfCancellationRequested();
                if (settings.Quick && System.Diagnostics.Stopwatch.GetElapsedTime(_started).TotalSeconds > QuickSeconds)
                {
                    report.Unavailable.Add(cases[i] with { Unavailable = "the time of --quick was over: the machine is busy" });
                    continue;
                }
                progress.Begin(i);
                try
                {
                    var results = cases[i] switch
                    {
                        LayerCase layer => [layers.Run(layer)],
                        ModelCase { Work: Work.Memory } model => [processes.Memory(model)],
                        ModelCase { Work: Work.StartUp } model => processes.StartUp(model),
                        ModelCase model => models.Run(model),
                        _ => throw new NotSupportedException(cases[i].GetType().Name),
                    };
                    progress.Clear();
                    foreach (var result in results) Print(result, report);
                    // After every case, so that what was measured is not lost when a later one fails.
                    if (settings.Out is { } file) report.Save(file);
                }
                catch (DisagreementException e)
                {
                    progress.Clear();
                    report.Disagreements.Add(e.Message);
                    say(e.Message);
                }
                progress.End(i);
                device.Trim(); // large cases are followed by small ones
            }
        }
        catch (OperationCanceledException)
        {
            progress.Clear();
            report.Stopped = true;
        }
    }

    private void Print(BenchResult result, BenchReport report)
    {
        report.Results.Add(result);
        if (settings.Json)
        {
            Console.Out.WriteLine(JsonLines.Of(result, report.Ceilings).ToJsonString());
            return;
        }
        foreach (string line in TextTable.Lines(result, report.Ceilings)) Console.Out.WriteLine(line);
    }

    private void PrintEnd(BenchReport report)
    {
        Console.Out.WriteLine();
        foreach (string line in TextTable.Means(report)) Console.Out.WriteLine(line);
        Console.Out.WriteLine();
        foreach (var group in report.Unavailable.GroupBy(c => c.Unavailable))
            Console.Out.WriteLine($"Not timed, {group.Key}: {string.Join(", ", group.Select(c => c.Title))}.");
        if (report.Stopped) Console.Out.WriteLine("Interrupted: these are the cases measured so far.");
        Console.Out.WriteLine(TextTable.Legend(settings.Peers));
    }

    private static int List(IReadOnlyList<BenchCase> cases)
    {
        foreach (var c in cases) Console.Out.WriteLine($"{c.Title,-44} {c.Class}{(c.Unavailable == null ? "" : $" ({c.Unavailable})")}");
        return 0;
    }

    private int Explain(BenchCase[] cases)
    {
        LayerCase[] layers = [.. cases.OfType<LayerCase>()];
        if (layers.Length == 0) throw new ArgumentException("--explain is for layer cases, and none was chosen. `--list` shows them all.");
        using var device = new CpuDevice(settings.Threads);
        foreach (var layer in layers)
        {
            using var accuracy = new AccuracySetting(device, layer.Accuracy);
            string how = layer.Packed ? device.ExplainPacked(layer.Geometry) : device.Explain(layer.Geometry, layer.Direction);
            if (settings.Json)
                Console.Out.WriteLine(new System.Text.Json.Nodes.JsonObject { ["name"] = layer.Name, ["op"] = layer.Op, ["batch"] = layer.Batch, ["shape"] = $"{layer.Geometry}", ["algorithm"] = how }.ToJsonString());
            else Console.Out.WriteLine($"{layer.Title,-44} {layer.Geometry}\n    {how}");
        }
        return 0;
    }

    private int Profile(ModelCase[] models)
    {
        ModelCase[] timed = [.. models.Where(m => m.Work is Work.Train or Work.Infer or Work.Refocus)];
        if (timed.Length == 0) throw new ArgumentException("--profile is for training and inference cases, and none was chosen. `--list` shows them all.");
        foreach (var row in timed)
        {
            cancellation.ThrowIfCancellationRequested();
            KernelProfile.Print(row, row.Forms[^1], settings.Threads, settings.Rounds > 0 ? settings.Rounds : 15, settings.Shapes);
        }
        return 0;
    }
}
