using System.Text.RegularExpressions;
using RefConv.IO;
using RefConv.Models.Train;
using RefConv.Tests.Models;
using static RefConv.Tests.Cli.CommandLine;

namespace RefConv.Tests.Cli;

/// <summary>The tool on the road that goes well.</summary>
[Collection(ConsoleCollection.Name)]
public sealed partial class CliTests(CliTests.Pipeline pipeline) : IClassFixture<CliTests.Pipeline>
{
    private static readonly string[] Commands = ["demo", "train", "refocus", "compare", "merge", "eval", "predict", "summary", "bench", "devices"];

    [Fact]
    public void HelpOfEveryCommandShowsItsDefaults()
    {
        string root = Good("--help").Out;
        foreach (string command in Commands)
        {
            Assert.Contains(command, root);
            string help = Good(command, "--help").Out;
            // Whatever takes a value says what it is when left out, or that it must not be, or what leaving it out means.
            foreach (string line in help.Split('\n').Where(l => OptionWithValue().IsMatch(l)))
                Assert.True(line.Contains("[default: ") || line.Contains("(REQUIRED)") || line.Contains("Default: ") || line.Contains("--stop-after") || line.Contains("--resume"), line);
        }
        Assert.Contains("--epochs <N>             Passes over the training images. [default: 12]", Good("train", "-h").Out);
        Assert.Contains("[default: xavier]", Good("refocus", "--help").Out);
        Assert.Equal(0, Run("--version").Code);
    }

    [Fact]
    public void TrainRefocusMergeEval()
    {
        var trained = pipeline.Trained.Json;
        Assert.Equal(2, trained.GetProperty("epochs").GetInt32());
        Assert.True(trained.GetProperty("finished").GetBoolean());
        double accuracy = pipeline.Refocused.Json.GetProperty("accuracy").GetDouble();
        Assert.Equal(0, pipeline.Merged.Json.GetProperty("maxAbsDifference").GetDouble());
        Assert.Equal(14, pipeline.Merged.Json.GetProperty("layers").GetInt32());

        var refocused = Good("eval", pipeline.RefocusedFile, "--limit", "20", "--json").Json;
        var merged = Good("eval", pipeline.MergedFile, "--limit", "20", "--json").Json;
        Assert.Equal(accuracy, refocused.GetProperty("accuracy").GetDouble());
        foreach (string value in new[] { "accuracy", "top5", "loss", "images" })
            Assert.Equal(refocused.GetProperty(value).GetDouble(), merged.GetProperty(value).GetDouble());
        Assert.Equal(20, merged.GetProperty("images").GetInt32());

        // The merged file has the base's tensors: the frozen kernels changed by refocusing, no refocus weights left.
        SortedDictionary<string, int[]> plain = TrainingBench.Tensors(pipeline.PlainFile), result = TrainingBench.Tensors(pipeline.MergedFile);
        Assert.Equal(plain.Keys.Where(k => !k.StartsWith("optimizer.", StringComparison.Ordinal)), result.Keys);
        Assert.NotEqual(plain["model.1.0.weight"], result["model.1.0.weight"]);
        string text = Good("eval", pipeline.MergedFile, "--limit", "20").Out;
        Assert.Contains("Top-1", text);
        Assert.Contains("images/s", text);
    }

    [Fact]
    public void AStoppedRunGoesOn()
    {
        string[] options = ["train", .. Tiny, "--width", "0.0625", "--epochs", "3", "--json"];
        using var folder = new TemporaryFolder();
        string whole = folder.File("whole"), parts = folder.File("parts"), cancelled = folder.File("cancelled");
        Good([.. options, "--out", whole]);
        var first = Good([.. options, "--out", parts, "--stop-after", "1"]).Json;
        Assert.False(first.GetProperty("finished").GetBoolean());
        Assert.Equal(1, first.GetProperty("epochs").GetInt32());
        var second = Good("train", "--resume", parts, "--json").Json;
        Assert.True(second.GetProperty("finished").GetBoolean());
        TrainingBench.AssertSameRun(whole, parts);
        Assert.Contains("finished already", Good("train", "--resume", parts).Out);

        using var stop = new CancellationTokenSource();
        stop.Cancel();
        var result = Run(stop.Token, [.. options[..^1], "--out", cancelled]);
        Assert.Equal(130, result.Code);
        Assert.Contains($"Go on with: refconv train --resume {cancelled}", result.Out);
        Good("train", "--resume", cancelled);
        TrainingBench.AssertSameRun(whole, cancelled);
        // What the run has fixed is not silently ignored.
        Fails(1, "--lr cannot be given with --resume", "train", "--resume", cancelled, "--lr", "0.2");
    }

    [Fact]
    public void ALargerMapThanTheKernelFallsBackToTheKernel()
    {
        using var folder = new TemporaryFolder();
        Good(["refocus", "--from", pipeline.PlainFile, .. Tiny, "--epochs", "1", "--map-k", "5", "--init", "zero", "--out", folder.File("run")]);
        using var file = SafeTensorsFile.Open(folder.File("run/last.safetensors"));
        var maps = file.Entries.Where(e => e.Name.EndsWith("convmap.weight", StringComparison.Ordinal) && !e.Name.StartsWith("optimizer.", StringComparison.Ordinal)).ToArray();
        Assert.Equal(14, maps.Length);
        Assert.All(maps, m => Assert.Equal([3L, 3L], m.Shape.TakeLast(2)));
    }

    [Fact]
    public void LayersCanBeChosenByName()
    {
        using var folder = new TemporaryFolder();
        Good(["refocus", "--from", pipeline.PlainFile, .. Tiny, "--epochs", "1", "--layers", "model.1.0, model.5.0", "--out", folder.File("run")]);
        using var file = SafeTensorsFile.Open(folder.File("run/best.safetensors"));
        Assert.Equal(["model.1.0.convmap.weight", "model.5.0.convmap.weight"], file.Entries.Select(e => e.Name).Where(n => n.Contains("convmap")).Order());
        Fails(1, "no convolution named 'model.1.1'", "refocus", "--from", pipeline.PlainFile, "--layers", "model.1.1", "--limit", "40", "--test-limit", "20");
    }

    [Fact]
    public void TheDemoProvesTheMerge()
    {
        using var folder = new TemporaryFolder();
        string[] options = ["demo", .. Tiny, "--width", "0.0625", "--epochs", "1", "--out", folder.File("demo")];
        var json = Good([.. options, "--json"]).Json;
        foreach (string row in new[] { "base", "retrained", "refocused", "merged" })
            Assert.InRange(json.GetProperty(row).GetProperty("accuracy").GetDouble(), 0, 1);
        Assert.Equal(0, json.GetProperty("merged").GetProperty("maxAbsDifference").GetDouble());
        Assert.Equal(json.GetProperty("base").GetProperty("parameters").GetInt64(), json.GetProperty("merged").GetProperty("parameters").GetInt64());
        Assert.Equal(json.GetProperty("refocused").GetProperty("accuracy").GetDouble(), json.GetProperty("merged").GetProperty("accuracy").GetDouble());
        Assert.True(json.GetProperty("refocused").GetProperty("trainParameters").GetInt64() > json.GetProperty("base").GetProperty("trainParameters").GetInt64());
        Assert.True(json.GetProperty("seconds").GetDouble() > 0);

        string page = File.ReadAllText(json.GetProperty("report").GetString()!);
        Assert.DoesNotMatch("https?://|<script [^>]*src|@import|url\\((?!data:)|(src|href)=\"(?!data:|#)", page.Replace("http://www.w3.org/2000/svg", ""));
        Assert.Contains("<svg", page);
        Assert.Contains("RefConv against the control", page);
        Good("eval", folder.File("demo/merged.safetensors"), "--limit", "20");
        Fails(1, "holds a run already", options);
    }

    [Fact]
    public void TheDemoRepeatsWithSeveralSeedsAndTellsPeopleWhatItFound()
    {
        using var folder = new TemporaryFolder();
        string[] options = ["demo", .. Tiny, "--width", "0.0625", "--epochs", "1", "--seeds", "2"];
        string text = Good([.. options, "--out", folder.File("text")]).Out;
        Assert.Matches(@"base +\d+\.\d ± \d+\.\d", text);
        Assert.Contains("Merging is exact", text);
        Assert.Contains("These numbers show neither a gain nor a loss", text, StringComparison.OrdinalIgnoreCase);
        Assert.True(File.Exists(folder.File("text/report.html")));
        Assert.True(File.Exists(folder.File("text/seed2/merged.safetensors")));
        var json = Good([.. options, "--out", folder.File("json"), "--json"]).Json;
        Assert.Equal(2, json.GetProperty("base").GetProperty("accuracies").GetArrayLength());
        Assert.True(json.GetProperty("base").GetProperty("deviation").GetDouble() >= 0);
    }

    [Theory]
    [InlineData("mobilenet_v1", 29_346_440, 4_231_976, 568_740_352, 226_030_176)]
    [InlineData("mobilenet_v2", 44_116_040, 3_504_872, 300_774_272, 365_500_512)]
    public void SummaryGivesThePublishedTotals(string model, long training, long deployed, long macs, long transform)
    {
        var total = Good("summary", "--model", model, "--layers", "k1", "--json").Json;
        Assert.Equal("total", total.GetProperty("name").GetString());
        Assert.Equal((training, deployed, macs, transform, macs), (N("trainParameters"), N("deployParameters"), N("deployMacs"), N("transformMacs"), N("trainMacs")));

        long N(string name) => total.GetProperty(name).GetInt64();
    }

    [Fact]
    public void SummaryOfAFile()
    {
        string text = Good("summary", pipeline.RefocusedFile).Out;
        Assert.Contains("14 layers in refconv form", text);
        Assert.Matches(@"model\.1\.0 +RefConv2d +\[1, 32, 32, 8\]", text);
        Assert.DoesNotContain("refconv form", Good("summary", pipeline.MergedFile).Out);
        Assert.DoesNotContain("RefConv2d", Good("summary", "--method", "none", "--batch", "0", "--size", "32", "--width", "0.0625", "--classes", "10").Out);
    }

    [Fact]
    public void SummaryTakesTheLayersThatTrainingTakes()
    {
        // ConvNeXt's downsampling kernels are 2×2: larger than 1×1, and not for RefConv unless asked for.
        string[] options = ["summary", "--model", "convnext_tiny", "--width", "0.0625", "--size", "32", "--classes", "10"];
        Assert.Contains(", 19 layers in refconv form", Good(options).Out);
        Assert.Contains(", 22 layers in refconv form", Good([.. options, "--layers", "k1"]).Out);
        Assert.Contains(", 1 layer in refconv form", Good([.. options, "--layers", "features.0.0"]).Out);
    }

    [Fact]
    public void SummaryMeasuresAStepOfSuperResolution()
    {
        var total = Good("summary", "--model", "sesr_m3_x2", "--method", "clb", "--set", "width=8", "--size", "12", "--batch", "1", "--json").Json;
        Assert.True(total.GetProperty("stepMs").GetDouble() > 0);
        Assert.True(total.GetProperty("plainStepMs").GetDouble() > 0);
    }

    [Fact]
    public void DevicesAreListed()
    {
        string text = Good("devices").Out;
        Assert.Matches("(?m)^cpu ", text);
        Assert.Matches("(?m)^reference ", text);
        Assert.Contains("\"name\":\"reference\"", Good("devices", "--json").Out);
    }

    [Fact]
    public void TheReferenceDeviceTrainsToTheSamePlace()
    {
        using var folder = new TemporaryFolder();
        // Few steps and large batches: in a long run rounding sends the two apart as it would two runs of one device with other sums.
        string[] options = ["train", "--limit", "40", "--test-limit", "10", "--batch", "40", "--width", "0.0625", "--epochs", "2", "--lr", "0.02", "--json"];
        var cpu = Good([.. options, "--device", "cpu", "--out", folder.File("cpu")]).Json;
        var reference = Good([.. options, "--device", "reference", "--out", folder.File("reference")]).Json;
        Assert.Equal(reference.GetProperty("testLoss").GetDouble(), cpu.GetProperty("testLoss").GetDouble(), 1e-4);
        EpochResult[] a = TrainingBench.History(folder.File("cpu")), b = TrainingBench.History(folder.File("reference"));
        for (int i = 0; i < a.Length; i++) Assert.Equal(b[i].TrainLoss, a[i].TrainLoss, 1e-4);
        Assert.NotEqual(b[0].TrainLoss, a[0].TrainLoss); // floats there, doubles here: it was another device
    }

    [GeneratedRegex(@"^ +-[-\w, ]+ <\w+>")]
    private static partial Regex OptionWithValue();

    /// <summary>One model trained, refocused and merged by the tool, for all tests of the class.</summary>
    public sealed class Pipeline : IDisposable
    {
        private readonly TemporaryFolder _folder = new();

        public Pipeline()
        {
            PlainFile = _folder.File("base/last.safetensors");
            RefocusedFile = _folder.File("refocused/last.safetensors");
            MergedFile = _folder.File("merged.safetensors");
            Trained = Good(["train", .. Tiny, "--width", "0.0625", "--epochs", "2", "--json", "--out", _folder.File("base")]);
            Refocused = Good(["refocus", "--from", PlainFile, .. Tiny, "--epochs", "2", "--json", "--out", _folder.File("refocused")]);
            Merged = Good("merge", "--from", RefocusedFile, "--out", MergedFile, "--json");
        }

        public string PlainFile { get; }

        public string RefocusedFile { get; }

        public string MergedFile { get; }

        internal CommandLine Trained { get; }

        internal CommandLine Refocused { get; }

        internal CommandLine Merged { get; }

        public void Dispose() => _folder.Dispose();
    }
}
