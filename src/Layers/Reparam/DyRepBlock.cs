namespace RefConv.Layers;

/// <summary>
/// What a <see cref="DyRepConv2d"/> grows into: <c>dbb_1x1, dbb_1x1_kxk, dbb_1x1_avg, dbb_kxk, dbb_1xk, dbb_kx1, dbb_id</c>, each ending in a batch norm. The k×k branch has
/// a bias, is always there, and takes up whatever the others would change: that is how growing and cutting leave the function as it is.
/// </summary>
internal sealed class DyRepBlock : BranchBlock
{
    private const string Prefix = "dbb_", Main = "kxk", Second = "1x1_kxk", Average = "1x1_avg";
    private const double NewGamma = 0.01; // of a new branch's last norm: it starts as a whisper

    private readonly int _groups;

    /// <param name="conv">What grows; left as it is.</param>
    /// <param name="branches">Which branches; <see cref="All"/> for all that are possible.</param>
    /// <param name="init">Random numbers.</param>
    internal DyRepBlock(DyRepConv2d conv, IReadOnlyList<string> branches, Initializer init)
        : base(conv.KernelSize, conv.Options, conv.HasBias)
    {
        (_groups, Depth) = (conv.Options.Groups, conv.Depth);
        var (cin, cout, k, o) = (conv.InChannels, conv.OutChannels, conv.KernelSize, conv.Options);
        var pointwise = new Conv2dOptions(1, 0, 1, o.Groups);
        var possible = All(conv);
        foreach (string branch in branches)
        {
            if (!possible.Contains(branch)) throw new ArgumentException($"A block of DyRep cannot have the branch '{branch}' here. Possible are {string.Join(", ", possible)}.");
            Module part = branch switch
            {
                "1x1" => new ConvNormBranch(New((1, 1)), Last()),
                "1xk" => new ConvNormBranch(New((1, k.W)), Last()),
                "kx1" => new ConvNormBranch(New((k.H, 1)), Last()),
                Second => new PointwiseConvBranch(First(), new BatchNorm2d(init, cin), Grows(bias: false), Last(), o),
                Average => o.Groups == cout ? new AverageBranch(k.H, o, Last())
                    : new PointwiseAverageBranch(Normal(new Conv2d(init.Device, cin, cout, (1, 1), pointwise, bias: false)), new BatchNorm2d(init, cout), k.H, o, Last()),
                "id" => Last(),
                _ => new ConvNormBranch(Grows(bias: true), new BatchNorm2d(init, cout)),
            };
            Add(Prefix + branch, part);
        }

        Conv2d New((int H, int W) size) => Normal(new Conv2d(init.Device, cin, cout, size, Layers.Branches.Aligned(o, k, size), bias: false));

        // The main convolution, to be set by Absorb; or the one behind a 1×1, whose map comes padded.
        DyRepConv2d Grows(bool bias)
        {
            using var plain = new Conv2d(init.Device, cin, cout, k, bias ? o : o with { PadTop = 0, PadBottom = 0, PadLeft = 0, PadRight = 0 }, bias);
            return new DyRepConv2d(bias ? plain : Normal(plain), Depth + 1);
        }

        Conv2d First() => Normal(new Conv2d(init.Device, cin, cin, (1, 1), pointwise, bias: false));

        Conv2d Normal(Conv2d c)
        {
            Initializer.Normal(c.Weight, Math.Sqrt(2.0 / (c.KernelSize.H * c.KernelSize.W * c.OutChannels)), init.NextStream());
            return c;
        }

        BatchNorm2d Last()
        {
            var norm = new BatchNorm2d(init, cout);
            init.Device.Kernels.Fill(norm.Weight.Data, NewGamma);
            return norm;
        }
    }

    /// <summary>The branches it has.</summary>
    public IReadOnlyList<string> Branches => [.. Children.Select(c => c.Key[Prefix.Length..])];

    /// <summary>How many blocks it is inside of.</summary>
    internal int Depth { get; }

    /// <summary>Paths of the convolutions inside it that may grow, or have grown: that of the k×k branch, and the one behind a 1×1.</summary>
    internal IEnumerable<string> Inner => Branches.Where(b => b is Main or Second).Select(b => b == Main ? $"{Prefix}{Main}.conv" : $"{Prefix}{Second}.conv2");

    /// <summary>The convolution of the k×k branch, or the block that it has grown into.</summary>
    internal Module Nested => Find($"{Prefix}{Main}.conv");

    private protected override IReadOnlyList<IBranch> Parts => [.. Children.Select(c => AsBranch(c.Value))];

    /// <summary>The branches that a convolution can grow. A list of its own for every caller.</summary>
    internal static List<string> All(DyRepConv2d conv)
    {
        var (o, k) = (conv.Options, conv.KernelSize.H);
        bool undilated = o is { DilationH: 1, DilationW: 1 };
        bool same = undilated && (o.PadTop, o.PadBottom, o.PadLeft, o.PadRight) == (k / 2, k / 2, k / 2, k / 2); // what the smaller kernels are aligned for
        List<string> all = same ? ["1x1", Second] : [Second];
        // A pool has one stride, and no dilation.
        if (undilated && o.StrideH == o.StrideW && (o.Groups < conv.OutChannels || conv.InChannels == conv.OutChannels)) all.Add(Average);
        all.Add(Main);
        if (!same) return all;
        all.AddRange(["1xk", "kx1"]);
        if (conv.InChannels == conv.OutChannels && o is { StrideH: 1, StrideW: 1 }) all.Add("id");
        return all;
    }

    /// <summary>
    /// Sets the k×k branch so that the block computes what a kernel does: its norm becomes fresh, and W = (target − Σ others)·√(1 + ε), since that is what a fresh norm divides by.
    /// </summary>
    internal void Absorb(Kernel target)
    {
        Kernel rest = target;
        foreach (var (name, child) in Children)
        {
            if (name == Prefix + Main) continue;
            var placed = KernelAlgebra.Place(AsBranch(child).ToKernel(), target.Height, target.Width);
            rest = KernelAlgebra.Add(rest, KernelAlgebra.Scale(placed, [.. Enumerable.Repeat(-1.0, target.Out)]));
        }
        var norm = (BatchNorm2d)Find($"{Prefix}{Main}.bn");
        var kernels = norm.Weight.Device.Kernels;
        kernels.Fill(norm.Weight.Data, 1);
        kernels.Fill(norm.Bias.Data, 0);
        kernels.Fill(norm.RunningMean.Data, 0);
        kernels.Fill(norm.RunningVar.Data, 1);
        rest = KernelAlgebra.Scale(rest, [.. Enumerable.Repeat(Math.Sqrt(1 + norm.Eps), target.Out)]);
        if (Nested is DyRepBlock block) block.Absorb(rest);
        else ((DyRepConv2d)Nested).Load(rest);
    }

    /// <summary>Removes the branches that have become weak; the k×k branch takes over what they did.</summary>
    /// <returns>Whether there were any.</returns>
    internal bool CutWeak()
    {
        var weak = Weak(Importance());
        if (weak.Count == 0) return false;
        var before = ToKernel();
        foreach (string branch in weak) Remove(Prefix + branch).Dispose();
        Absorb(before);
        return true;
    }

    /// <summary>Of every branch but the k×k one the mean |γ| of its last norm, relative to that of the k×k branch's.</summary>
    internal IReadOnlyDictionary<string, double> Importance()
    {
        double main = Mean((BatchNorm2d)Find($"{Prefix}{Main}.bn"));
        return Children.Where(c => c.Key != Prefix + Main).ToDictionary(c => c.Key[Prefix.Length..], c => Mean((BatchNorm2d)AsBranch(c.Value).LastNorm) / main);

        static double Mean(BatchNorm2d norm) => norm.Weight.ToTorchDouble().Average(Math.Abs);
    }

    /// <summary>Where the branches differ (a deviation above 0.02), those below the mean and below 0.1.</summary>
    internal static List<string> Weak(IReadOnlyDictionary<string, double> importance)
    {
        if (importance.Count < 2) return [];
        double mean = importance.Values.Average(), deviation = Math.Sqrt(importance.Values.Sum(v => (v - mean) * (v - mean)) / (importance.Count - 1));
        return deviation > 0.02 ? [.. importance.Where(i => i.Value < mean && i.Value < 0.1).Select(i => i.Key)] : [];
    }

    private IBranch AsBranch(Module child) => child as IBranch ?? new NormBranch((BatchNorm2d)child, _groups);
}
