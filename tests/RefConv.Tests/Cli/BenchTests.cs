using System.Text.Json;
using RefConv.Bench;
using RefConv.Kernels;
using RefConv.Models;
using static RefConv.Tests.Cli.CommandLine;

namespace RefConv.Tests.Cli;

/// <summary><c>refconv bench</c> without peers: what it offers, what it prints, and the arithmetic of its means.</summary>
[Collection(ConsoleCollection.Name)]
public sealed class BenchTests
{
    private const string Tiny = "cifar.dw3x3.512 b1 forward";

    [Fact]
    public void AllCasesAreListed()
    {
        string[] lines = Good("bench", "--list").Out.TrimEnd().Split('\n');
        // 27 layers at batch 8 and 14 at batch 1 and 32, three directions each.
        Assert.Equal((27 + 14 + 14) * 3, LayerCase.All.Count(c => !c.Packed && c.Accuracy == Conv2dAccuracy.Exact));
        Assert.Equal(CaseList.All.Count, lines.Length);
        Assert.Equal(lines.Length, CaseList.All.Select(c => c.Title).Distinct().Count());
        Assert.Contains(lines, l => l.StartsWith("resnet.stem7x7s2 b8 weight_gradient ", StringComparison.Ordinal));
        foreach (var model in ModelCase.All)
        {
            string line = Assert.Single(lines, l => l.Split(' ')[0] == model.Name);
            Assert.Equal(!Zoo.Names.Contains(model.Spec.Architecture), line.Contains("the zoo does not have it yet"));
        }
        // Every class is reached by some case, and --quick takes exactly one case of each that can be timed.
        foreach (var c in CaseClass.All) Assert.Contains(CaseList.All, row => row.Class == c.Cases);
        Assert.All(CaseList.Choose("", null, quick: true).GroupBy(c => c.Class), g => Assert.Single(g));
        Assert.Equal(12, CaseList.Choose("", null, quick: true).Count);
    }

    [Fact]
    public void ATinyCaseIsTimed()
    {
        using var folder = new TemporaryFolder();
        string json = folder.File("out.json"), page = folder.File("out.md");
        string[] lines = Good("bench", "--only", Tiny, "--rounds", "1", "--budget", "1", "--threads", "1", "--json", "--out", json).Out.TrimEnd().Split('\n');
        Assert.Equal(2, lines.Length);
        var result = JsonDocument.Parse(lines[0]).RootElement;
        Assert.Equal(("cifar.dw3x3.512", "forward", 1), (result.GetProperty("name").GetString(), result.GetProperty("op").GetString(), result.GetProperty("batch").GetInt32()));
        double ms = result.GetProperty("ms").GetDouble(), gflops = result.GetProperty("gflops").GetDouble();
        Assert.InRange(ms, 1e-6, 1000);
        Assert.Equal(2.0 * 4 * 4 * 512 * 9 / ms / 1e6, gflops, gflops * 1e-3);
        Assert.InRange(result.GetProperty("ceiling").GetDouble(), 1e-9, 1.2);
        Assert.False(result.TryGetProperty("peer", out _));
        var summary = JsonDocument.Parse(lines[1]).RootElement;
        Assert.Equal(ms, summary.GetProperty("geomean").GetProperty("depthwise_forward_input").GetDouble(), ms * 1e-3);
        Assert.True(summary.GetProperty("peakGflops").GetDouble() > 0 && summary.GetProperty("readGBs").GetDouble() > 0 && summary.GetProperty("copyGBs").GetDouble() > 0);

        var file = JsonDocument.Parse(File.ReadAllText(json)).RootElement;
        Assert.Equal(1, file.GetProperty("results").GetArrayLength());
        Assert.Equal(result.GetProperty("rounds").GetInt32(), file.GetProperty("results")[0].GetProperty("samples").GetProperty("refconv").GetArrayLength());
        string text = Good("bench", "--only", Tiny, "--rounds", "1", "--budget", "1", "--out", page).Out;
        Assert.Contains(Tiny, text);
        Assert.Contains("geometric means", text);
        Assert.Contains($"| {Tiny} |", File.ReadAllText(page));
    }

    [Fact]
    public void AnInterruptedRunPrintsWhatItHas()
    {
        using var stop = new CancellationTokenSource();
        stop.Cancel();
        var result = Run(stop.Token, "bench", "--only", Tiny, "--json");
        Assert.Equal(130, result.Code);
        Assert.True(result.Json.GetProperty("stopped").GetBoolean());
    }

    [Fact]
    public void TheAlgorithmOfEveryLayerIsExplained()
    {
        Assert.Contains("depthwise", Good("bench", "--explain", "--only", Tiny).Out);
        using var device = new CpuDevice(1);
        Assert.All(LayerCase.All, c => Assert.NotEmpty(device.Explain(c.Geometry, c.Direction)));
    }

    [Fact]
    public void MeansAreGeometric()
    {
        using var device = new CpuDevice(1);
        var ceilings = new Ceilings(GigaFlops: 100, ReadGigabytes: 10, CopyGigabytes: 20);
        var report = new BenchReport(new BenchSettings(), device, ["a peer"], ceilings);
        LayerCase[] dense = [.. LayerCase.All.Where(c => c.Class == CaseClass.Dense).Take(2)];
        // Twice as fast as the peer in one case and half as fast in the other: 1, and not 1.25. Of two ways of the peer the better one counts.
        report.Results.Add(Result(dense[0], ours: [10, 10, 10], [("slow", 90), ("fast", 20)]));
        report.Results.Add(Result(dense[1], ours: [20, 20, 20], [("only", 10)]));
        var mean = Assert.Single(report.Means());
        Assert.Equal((1, 2, 0.5), (Math.Round(mean.Ratio!.Value, 12), mean.Count, mean.Worst!.Value));
        var line = JsonDocument.Parse(JsonLines.Of(report.Results[0], ceilings).ToJsonString()).RootElement;
        Assert.Equal(("pytorch", 20.0, 2.0, "fast"), (line.GetProperty("peer").GetString(), line.GetProperty("peerMs").GetDouble(), line.GetProperty("ratio").GetDouble(), line.GetProperty("peerWay").GetString()));
        Assert.Equal(1, report.Summary()["geomean"]!["dense"]!.GetValue<double>(), 1e-9);

        // Refocusing: RefConv step over plain step, on either side.
        var row = ModelCase.All.First(c => c.Work == Work.Refocus);
        var refocus = Result(row, [12, 12], [("nhwc", 30)]) with { Plain = Result(row, [10, 10], [("nhwc", 20)]) };
        Assert.Equal((1.2, 1.5, 2.5), (refocus.Overhead!.Value, refocus.PeerOverhead!.Value, refocus.Ratio!.Value));
        // The same cases beside two peers are two classes.
        var infer = ModelCase.All.First(c => c.Work == Work.Infer);
        Assert.Equal("infer_onnxruntime", (Result(infer, [1], []) with { Peer = CaseClass.OnnxRuntime }).Class);

        static BenchResult Result(BenchCase row, double[] ours, (string Name, double Ms)[] theirs) =>
            new(row, Series.Of("refconv", ours), CaseClass.PyTorch, [.. theirs.Select(t => Series.Of(t.Name, ours.Select(_ => t.Ms)))]);
    }

    [Fact]
    public void TheCeilingIsTheSlowerOfArithmeticAndMemory()
    {
        var ceilings = new Ceilings(GigaFlops: 100, ReadGigabytes: 10, CopyGigabytes: 20);
        Assert.Equal(0.5, ceilings.Share(flops: 1e9, bytes: 1, milliseconds: 20), 1e-12); // 10 ms of multiply-adds
        Assert.Equal(0.25, ceilings.Share(flops: 1, bytes: 1e8, milliseconds: 20), 1e-12); // 5 ms of memory, at the faster rate
        Assert.Equal(0.5, ceilings.Share(flops: 1e8, bytes: 1e8, milliseconds: 2), 1e-12); // faster than memory allows: it came from a cache
    }
}
