using RefConv.Bench.Peers;
using RefConv.Kernels;

namespace RefConv.Bench;

/// <summary>Runs training steps and inference: every engine in turn on the same weights and images.</summary>
internal sealed class ModelRunner(Device device, PeerSet peers, RoundPlan plan, CancellationToken cancellation)
{
    /// <summary>
    /// Largest differences allowed, relative: of a loss; of a score, where a deep network that never learned anything has amplified rounding (EfficientNet-B0: PyTorch in float32 and in float64 are 0.055 apart);
    /// and of a gradient, which 27 batch norms over nearly constant channels have
    /// amplified (PyTorch's own figures in float32 and float64 are up to 0.026 apart). A wrong gradient is wrong by its own size.
    /// </summary>
    private const double LossTolerance = 1e-4, ScoreTolerance = 0.1, GradientTolerance = 0.1;

    private readonly HashSet<(string, string, bool)> _compiled = [];

    /// <exception cref="DisagreementException">The engines do not compute the same.</exception>
    public IReadOnlyList<BenchResult> Run(ModelCase row)
    {
        string folder = Directory.CreateTempSubdirectory("refconv-bench-").FullName;
        List<OwnModel> engines = [];
        try
        {
            List<Contestant> all = [];
            Dictionary<(string Form, string Peer), double> differences = [];
            foreach (string form in row.Forms)
            {
                CompileAhead(row, form);
                var own = new OwnModel(row, form, device);
                engines.Add(own);
                all.Add(new Contestant(form, new Series("refconv"), null, own.Run));
                if (peers.Torch is { } torch) all.AddRange(LoadTorch(row, form, own, torch, folder, differences));
            }
            if (!row.Trains && peers is { Torch: not null, Ort: { } ort }) all.Add(LoadOrt(row, engines[0], ort, folder, differences));
            var rounds = new Rounds(peers.Workers, device.Threads, cancellation);
            var contestants = rounds.Prepare(all, plan.SampleMs);
            var surroundings = rounds.Run(contestants, plan);
            string?[] rivals = [.. contestants.Select(c => c.Peer).Where(p => p != null && peers.Counts(row, p)).Distinct()];
            return [.. (rivals.Length > 0 ? rivals : [null]).Select(peer => Result(row, peer, contestants, engines[0], differences) with { Surroundings = surroundings })];
        }
        finally
        {
            foreach (var engine in engines) engine.Dispose();
            foreach (var worker in peers.Workers) worker.Unload();
            Directory.Delete(folder, recursive: true);
        }
    }

    private static BenchResult Result(ModelCase row, string? peer, List<Contestant> contestants, OwnModel engine, Dictionary<(string, string), double> differences)
    {
        BenchResult[] forms = [.. row.Forms.Select(form => new BenchResult(
            row, contestants.Single(c => c.Peer == null && c.Form == form).Series, peer,
            peer == null ? [] : [.. contestants.Where(c => c.Peer == peer && c.Form == form).Select(c => c.Series)])
        {
            Flops = engine.Flops,
            Difference = peer == null ? null : differences[(form, peer)],
        })];
        return forms.Length == 1 ? forms[0] : forms[1] with { Plain = forms[0] };
    }

    private static IEnumerable<Contestant> LoadTorch(
        ModelCase row, string form, OwnModel own, TorchWorker torch, string folder, Dictionary<(string, string), double> differences)
    {
        string file = Path.Combine(folder, form + ".safetensors");
        own.Save(file);
        string[] variants = torch.Load(row, form, file);
        differences[(form, torch.Name)] = Compare($"{row.Name} ({form})", "PyTorch", own.Check(), torch.Check(form));
        return variants.Select(v => new Contestant(form, new Series(v), torch.Name, times => torch.Run(form, v, times)));
    }

    private Contestant LoadOrt(ModelCase row, OwnModel own, OrtWorker ort, string folder, Dictionary<(string, string), double> differences)
    {
        string model = Path.Combine(folder, "model.onnx"), images = Path.Combine(folder, "images");
        peers.Torch!.Export(model);
        own.SaveImages(images, channelsFirst: true);
        ort.Load(model, images, own.Model.InputShape(row.Batch));
        differences[(ModelCase.Plain, ort.Name)] = Compare(row.Name, "ONNX Runtime", own.Check(), ort.Check());
        return new Contestant(ModelCase.Plain, new Series("onnx"), ort.Name, ort.Run);
    }

    /// <summary>
    /// A kernel that a step calls once is compiled well after 30 steps: too many of a large model. So the same layers run first on small
    /// images, once for each architecture.
    /// </summary>
    private void CompileAhead(ModelCase row, string form)
    {
        if (!_compiled.Add((row.Spec.Architecture, form, row.Trains))) return;
        var small = row with { Spec = row.Spec with { ImageSize = 32, Classes = 10 }, Batch = 2 };
        using var engine = new OwnModel(small, form, device);
        WarmUp.Own(engine.Run);
    }

    /// <summary>The largest relative difference of loss or scores.</summary>
    private static double Compare(string what, string peer, Dictionary<string, CheckedValue> ours, Dictionary<string, double> theirs)
    {
        if (!ours.Keys.ToHashSet().SetEquals(theirs.Keys))
            throw new DisagreementException($"{what}: the engines do not train the same parameters. In one only: {string.Join(", ", ours.Keys.Except(theirs.Keys).Concat(theirs.Keys.Except(ours.Keys)))}.");
        double worst = 0;
        foreach (var (name, our) in ours)
        {
            bool isGradient = name.StartsWith("gradient", StringComparison.Ordinal);
            double difference = Math.Abs(our.Value - theirs[name]) / our.Scale, allowed = isGradient ? GradientTolerance : name.StartsWith("score", StringComparison.Ordinal) ? ScoreTolerance : LossTolerance;
            if (!(difference <= allowed))
                throw new DisagreementException($"{what}: the engines do not compute the same: {name} is {our.Value:G7} here and {theirs[name]:G7} in {peer}, {difference:G2} of {our.Scale:G3} (allowed: {allowed:G1}).");
            if (!isGradient) worst = Math.Max(worst, difference);
        }
        return worst;
    }
}
