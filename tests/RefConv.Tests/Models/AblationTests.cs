using RefConv.Layers;
using RefConv.Models;
using RefConv.Models.Report;
using RefConv.Models.Train;

namespace RefConv.Tests.Models;

/// <summary>Rows of an ablation do what their names say, and nothing is lost by a stop, a failure or a change of mind.</summary>
public sealed class AblationTests : DeviceTest
{
    private const string Kernel = "model.1.0.weight", Map = "model.1.0.convmap.weight";
    private readonly TemporaryFolder _folder = new();

    public override void Dispose()
    {
        _folder.Dispose();
        base.Dispose();
    }

    [Fact]
    public void RowsDoWhatTheirNamesSay()
    {
        Dictionary<string, (SortedDictionary<string, int[]> Weights, double Rate)> begins = [];
        var ablation = Make("runs", train: (name, trainer, cancellation) =>
        {
            begins[name.Split(' ')[^1]] = (State(trainer.Model), trainer.State.Recipe.LearningRate);
            return trainer.Run(cancellation: cancellation);
        });
        var rows = Assert.Single(ablation.Run(Cpu)).Rows;
        Assert.Equal(AblationTable.All.Select(r => r.Name), rows.Select(r => r.Method));
        Assert.All(rows, r => Assert.Null(r.Failed));
        var ends = rows.ToDictionary(r => r.Method, r => TrainingBench.Tensors(Path.Combine(Row("runs", r.Method), "last.safetensors")));
        int[] trained = ends["baseline"][Kernel];

        // What each starts from, whether its basis is random, and whether that learns.
        Assert.NotEqual(begins["baseline"].Weights[Kernel], trained);
        foreach (var (name, random, learns) in new[]
        {
            ("retrain", false, true), ("finetune", false, true), ("refconv", false, false), ("random-frozen", true, false), ("trained-learnable", false, true),
            ("random-learnable", true, true), ("no-shortcut", false, false), ("init-zero", false, false), ("init-torch", false, false), ("map-k-1", false, false),
        })
        {
            int[] first = begins[name].Weights[Kernel], last = ends[name][Kernel];
            Assert.Equal((name, random), (name, !first.AsSpan().SequenceEqual(trained)));
            Assert.Equal((name, learns), (name, !last.AsSpan().SequenceEqual(first)));
            // All but the layers of the method is the baseline's, its statistics too.
            Assert.Equal(ends["baseline"]["model.1.1.running_var"], begins[name].Weights["model.1.1.running_var"]);
            if (name is "retrain" or "finetune") continue;
            Assert.NotEqual(begins[name].Weights[Map], ends[name][Map]);
            Assert.Equal(name == "init-zero", begins[name].Weights[Map].All(v => v == 0));
        }
        // The refocus weights begin alike where they are not what the row is about.
        foreach (string name in new[] { "random-frozen", "trained-learnable", "random-learnable", "no-shortcut" }) Assert.Equal(begins["refconv"].Weights[Map], begins[name].Weights[Map]);
        Assert.NotEqual(begins["refconv"].Weights[Map], begins["init-torch"].Weights[Map]);
        Assert.Equal(begins["refconv"].Weights[Map].Length, 9 * begins["map-k-1"].Weights[Map].Length);

        Assert.Equal(0.005, begins["finetune"].Rate, 12);
        Assert.All(begins.Where(b => b.Key != "finetune"), b => Assert.Equal(0.05, b.Value.Rate));
        Assert.Equal([3, 2, 2], rows.Take(3).Select(r => r.History.Count)); // --base-epochs
        Assert.All(rows.Skip(3), r => Assert.Equal(0, r.MergeError));
        DeployedKernels();
    }

    /// <summary>With the shortcut the deployed kernel is W + refocus(W), without it refocus(W) alone: computed here once more, in plain loops.</summary>
    private void DeployedKernels()
    {
        foreach (var (name, shortcut) in new[] { ("no-shortcut", false), ("refconv", true) })
        {
            using var model = ModelFile.Load(Path.Combine(Row("runs", name), "last.safetensors"), Cpu);
            var layer = (RefConv2d)model.NamedModules().First(m => m.Name == "model.1.0").Module;
            double[] w = [.. layer.Basis.ToTorch()], map = [.. layer.Map.ToTorch()];
            int channels = layer.Geometry.Cout, k = 3;
            using var merged = IO.SafeTensorsFile.Open(Path.Combine(Row("runs", name), "merged.safetensors"));
            float[] deployed = merged.Read(Kernel);
            // Depthwise: the basis is one picture of all kernels, and every kernel reads every other one.
            for (int o = 0; o < channels; o++)
            for (int y = 0; y < k; y++)
            for (int x = 0; x < k; x++)
            {
                double sum = shortcut ? w[(((o * k) + y) * k) + x] : 0;
                for (int j = 0; j < layer.Geometry.Groups; j++)
                for (int u = 0; u < k; u++)
                for (int v = 0; v < k; v++)
                {
                    int yy = y + u - 1, xx = x + v - 1;
                    if (yy is >= 0 and < 3 && xx is >= 0 and < 3) sum += map[(((((o * layer.Geometry.Groups) + j) * k) + u) * k) + v] * w[(((j * k) + yy) * k) + xx];
                }
                Assert.Equal(sum, deployed[(((o * k) + y) * k) + x], 1e-5 * Math.Max(1, Math.Abs(sum)));
            }
        }
    }

    [Fact]
    public void AStopInAnyRowChangesNothing()
    {
        string[] names = ["finetune", "random-frozen"];
        var whole = Make("whole", names).Run(Cpu)[0].Rows;
        Assert.Equal(["baseline", "retrain", "finetune", "random-frozen"], whole.Select(r => r.Method));
        // Stopped every five steps, each time gone on with by a new object: as the command does when it is given again.
        IReadOnlyList<MethodRow>? rows = null;
        List<string> stops = [];
        while (rows == null)
        {
            using var stop = new CancellationTokenSource();
            int steps = 0;
            var run = Make("stopped", names, train: (name, trainer, cancellation) =>
            {
                trainer.Observer = new TrainingBench.Observer(() =>
                {
                    if (++steps == 5) stop.Cancel();
                });
                bool done = trainer.Run(cancellation: cancellation);
                if (!done) stops.Add(name.Split(' ')[^1]);
                return done;
            });
            try
            {
                rows = run.Run(Cpu, cancellation: stop.Token)[0].Rows;
            }
            catch (OperationCanceledException)
            {
                Assert.True(stops.Count < 20, "it does not get on");
                Assert.False(File.Exists(Path.Combine(Row("stopped", stops[^1]), "row.json")));
            }
        }
        Assert.Equal(whole.Select(r => r.Method), stops.Distinct());
        Assert.Equal(whole.Select(Figures), rows.Select(Figures));
        foreach (var row in whole) TrainingBench.AssertSameRun(Row("whole", row.Method), Row("stopped", row.Method));

        static object Figures(MethodRow r) => (r.Method, r.Seed, r.Accuracy, r.TestLoss, r.MergeError, r.TrainParameters, r.DeployParameters);
    }

    [Fact]
    public void WhatFailsIsARowAndTheOthersGoOn()
    {
        var ablation = Make("runs", ["refconv", "init-zero"], seeds: 2, train: (name, trainer, cancellation) =>
            name is "mobilenet_v1 seed 11 refconv" or "mobilenet_v1 seed 12 baseline" ? throw new DivergedException("the loss is no number") : trainer.Run(cancellation: cancellation));
        var results = ablation.Run(Cpu);
        var rows = results[0].Rows;
        Assert.Equal([null, null, "the loss is no number", null], rows.Take(4).Select(r => r.Failed));
        Assert.Equal("it starts from the row 'baseline', which failed: the loss is no number", rows[5].Failed);
        Assert.All(rows.Skip(4), r => Assert.NotNull(r.Failed));

        var summaries = AblationSummary.Of(rows);
        Assert.Equal(["baseline", "retrain", "refconv", "init-zero"], summaries.Select(s => s.Row.Name));
        Assert.Null(summaries[2].Accuracy);
        Assert.Null(summaries[2].AgainstRetrain);
        Assert.Equal(1, summaries[3].AgainstRetrain!.Pairs);
        Assert.Null(summaries[3].AgainstRetrain!.Deviation);
        var report = new AblationReport(ablation, results, "here");
        string text = report.ToMarkdown();
        Assert.Contains("| refconv | failed |", text);
        Assert.Contains("(1 failed) ", text);
        Assert.Contains("| 1 seed, too few to tell |", text);
        Assert.Contains("* mobilenet_v1, refconv, seed 11 failed: the loss is no number", text);
        Assert.DoesNotContain("NaN", text + report.ToHtml().Split("<script")[0]);
    }

    [Fact]
    public void AFolderOfSomethingElseIsRefusedAndMoreOfTheSameIsNot()
    {
        Make("runs", ["retrain"], epochs: 1).Run(Cpu);
        foreach (var other in new[] { Make("runs", ["retrain"], epochs: 2), Make("runs", ["retrain"], epochs: 1, width: 0.125), Make("runs", ["retrain"], epochs: 1, baseEpochs: 4), Make("runs", ["retrain"], epochs: 1, finetuneRate: 0.02) })
            Assert.Contains("holds an ablation of something else", Assert.Throws<IOException>(() => other.Run(Cpu)).Message);

        // Without that file the rows still know how they were trained.
        File.Delete(_folder.File("runs/ablation.json"));
        Assert.Contains("has a row baseline of 2 epochs", Assert.Throws<IOException>(() => Make("runs", ["retrain"], epochs: 1, baseEpochs: 4).Run(Cpu)).Message);

        // A row, a seed and a model more: only they are trained, and the file says what is there in all.
        List<string> trained = [];
        Make("runs", ["finetune"], epochs: 1, seeds: 2, models: ["mobilenet_v1", "mobilenet_v2"], train: (name, trainer, cancellation) =>
        {
            trained.Add(name);
            return trainer.Run(cancellation: cancellation);
        }).Run(Cpu);
        Assert.Equal(
            [
                "mobilenet_v1 seed 11 finetune", "mobilenet_v1 seed 12 baseline", "mobilenet_v1 seed 12 retrain", "mobilenet_v1 seed 12 finetune",
                .. from seed in new[] { 11, 12 } from row in new[] { "baseline", "retrain", "finetune" } select $"mobilenet_v2 seed {seed} {row}",
            ], trained);
        Make("runs", ["retrain"], epochs: 1).Run(Cpu);
        var setup = TableJson.Read(_folder.File("runs/ablation.json"), TableJson.Default.AblationSetup);
        Assert.Equal(["mobilenet_v1", "mobilenet_v2"], setup.Models.Select(m => m.Architecture));
        Assert.Equal(["baseline", "retrain", "finetune"], setup.Rows);
        Assert.Equal((2, 11ul), (setup.Seeds, setup.Recipe.Seed));
    }

    [Fact]
    public void MistakesAreToldBeforeAnythingIsTrained()
    {
        Says("There is no row 'refcon'. Did you mean 'refconv'?", Make("runs", ["refcon"]));
        Says("'mobilenet_v1' is named twice", Make("runs", ["refconv"], models: ["mobilenet_v1", "mobilenet_v1"]));
        Says("at least 1 seed", Make("runs", ["refconv"], seeds: 0));
        Says("number of epochs must be at least 1", Make("runs", ["refconv"], baseEpochs: 0));
        Says("learning rate must be above 0", Make("runs", ["finetune"], finetuneRate: 0));
        Assert.False(Path.Exists(_folder.File("runs")));

        void Says(string phrase, Ablation ablation) => Assert.Contains(phrase, Assert.Throws<ArgumentException>(() => ablation.Run(Cpu)).Message);
    }

    [Fact]
    public void TimeLeftIsThatOfTheEpochsThatAreLeft()
    {
        // Two models of two rows, two epochs each (three of the baselines), one seed.
        var ablation = Make("runs", ["retrain"], models: ["mobilenet_v1", "mobilenet_v2"]);
        var progress = new AblationProgress(ablation.Tables, Cpu);
        Assert.Equal((0, 4), (progress.Done, progress.Total));
        Assert.Null(progress.SecondsLeft());
        var state = TrainingBench.State();
        double[] costs = [.. ablation.Models.Select(Macs)];
        // One epoch of 10 s is done: 2 + 2 are left of this model, and 5 of another that takes as long for its multiply-adds.
        Assert.Equal(40 + (50 * costs[1] / costs[0]), progress.SecondsLeft(state with { Epoch = 1, History = [Epoch(10)] })!.Value, 6);
        progress.Add(ablation.Models[0], MethodRow.Failure("baseline", 11, "x", [Epoch(10), Epoch(10)]));
        progress.Add(ablation.Models[0], MethodRow.Failure("retrain", 11, "x", []));
        Assert.Equal(2, progress.Done);
        // Of the second model one epoch of 4 s is done: 2 + 2 are left.
        Assert.Equal(16, progress.SecondsLeft(state with { Epoch = 1, History = [Epoch(4)] })!.Value, 9);
        progress.Add(ablation.Models[1], MethodRow.Failure("baseline", 11, "x", [Epoch(4)]));
        progress.Add(ablation.Models[1], MethodRow.Failure("retrain", 11, "x", [Epoch(4)]));
        Assert.Equal(0, progress.SecondsLeft());

        static EpochResult Epoch(double seconds) => new(1, 0, 0, 0, 0, 0, 0, seconds);
        double Macs(ModelSpec spec)
        {
            using var model = Zoo.Create(spec, new Initializer(Cpu, 1));
            return RefConv.Models.Analysis.ModelSummary.Of(model).TrainMacs;
        }
    }

    [Fact]
    public void DifferencesAreThoseOfTheSameSeed()
    {
        // Baseline 0.50, 0.60; retrain 0.55, 0.63; refconv 0.57, 0.66: +7 and +6 against the baseline, +2 and +3 against retrain.
        MethodRow[] rows =
        [
            .. new[] { ("baseline", 0.50, 0.60), ("retrain", 0.55, 0.63), ("refconv", 0.57, 0.66) }
                .SelectMany(r => new[] { MethodRow.Failure(r.Item1, 1, "", []) with { Accuracy = r.Item2, Failed = null }, MethodRow.Failure(r.Item1, 2, "", []) with { Accuracy = r.Item3, Failed = null } }),
        ];
        var table = AblationReport.Table(rows);
        Assert.Equal(["55.0 ± 7.1", "", "", "", "", "", "", ""], table[0].Skip(1).Take(8));
        Assert.Equal(["59.0 ± 5.7", "+4.0 ± 1.4", "4.0", "0.156", "", "", "", ""], table[1].Skip(1).Take(8));
        // Results of different seeds are no pair.
        Assert.Null(AblationSummary.Of([rows[0], rows[3], rows[4]])[2].AgainstRetrain); // retrain of seed 2, refconv of seed 1
        Assert.Equal(["61.5 ± 6.4", "+6.5 ± 0.7", "13.0", "0.049", "+2.5 ± 0.7", "5.0", "0.126", "2 seeds, too few to tell"], table[2].Skip(1).Take(8));
    }

    private static SortedDictionary<string, int[]> State(Model model) =>
        new(model.NamedParameters().ToDictionary(e => e.Name, e => e.Parameter.ToTorch().Select(v => BitConverter.SingleToInt32Bits((float)v)).ToArray()), StringComparer.Ordinal);

    private string Row(string folder, string name, int seed = 11) => _folder.File($"{folder}/mobilenet_v1/seed{seed}/{name}");

    private Ablation Make(string folder, string[]? rows = null, Func<string, Trainer, CancellationToken, bool>? train = null, int epochs = 2, int seeds = 1, double width = 0.0625,
        int? baseEpochs = null, double? finetuneRate = null, string[]? models = null) => new()
    {
        Models = [.. (models ?? ["mobilenet_v1"]).Select(m => TrainingBench.Spec(m) with { Width = width })],
        Data = TrainingBench.Pictures,
        Recipe = TrainingBench.Short with { Epochs = epochs },
        Rows = rows ?? [.. AblationTable.All.Select(r => r.Name)],
        BaseEpochs = baseEpochs ?? epochs + 1,
        FinetuneRate = finetuneRate,
        Seeds = seeds,
        Folder = _folder.File(folder),
        Train = train ?? ((_, trainer, cancellation) => trainer.Run(cancellation: cancellation)),
    };
}
