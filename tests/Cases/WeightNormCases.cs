using RefConv.Kernels;

namespace RefConv.Cases;

/// <summary>Weight normalisation and orthogonalisation: dense, depthwise and 1×1 kernels, every vector tail, several pieces, filters that are zero or parallel.</summary>
internal static class WeightNormCases
{
    public static IEnumerable<KernelCase> All =>
    [
        .. Shapes.SelectMany(s => new[] { Norm(new(s.N, s.C, Center: false)), Norm(new(s.N, s.C, Center: true, 1e-5)) }).SelectMany(r => r),
        .. Norm(new(9, 7, Center: false), special: true), .. Norm(new(9, 7, Center: true, 1e-5), special: true),
        .. Groups.SelectMany(g => Orthogonal(g)),
        .. Norm(new(4608, 512, Center: true, 1e-5), benchmark: true), .. Orthogonal(new(4608, 512, 32), benchmark: true), .. Orthogonal(new(9, 960, 8), benchmark: true),
    ];

    private static IEnumerable<(int N, int C)> Shapes => [(2, 1), (9, 16), (9, 33), (27, 31), (64, 10), (300, 29), (1152, 64), (6, 1100)];

    private static IEnumerable<OrthogonalizeGeometry> Groups =>
        [new(2, 3, 1), new(9, 8, 8), new(9, 24, 8), new(27, 12, 6), new(40, 33, 33), new(65, 64, 32), new(288, 64, 16), new(147, 32, 32), new(7, 30, 5), new(900, 40, 20)];

    /// <summary>Normally distributed with a mean; special: filter 0 is zero, filter 1 constant.</summary>
    private static Func<long, double> Filters(string name, int filters, bool special)
    {
        var values = new Lazy<float[]>(() => new KernelCase("", "", Tolerance.Exact, 0, [], (_, _) => { }).Values(new Operand(name, 1 << 20, Role.In)));
        return i => special && i % filters == 0 ? 0 : special && i % filters == 1 ? 0.25 : 0.1 + values.Value[i % (1 << 20)];
    }

    private static IEnumerable<KernelCase> Norm(WeightNormGeometry g, bool special = false, bool benchmark = false)
    {
        // A constant filter is zero once it is centred, up to rounding, which 1/ε then makes large: only the uncentred form is compared there.
        var v = new Operand("v", g.Length, Role.In, Filters("v", g.Filters, special && !g.Center));
        var scale = new Operand("scale", g.Filters, Role.In);
        string name = $"{g}{(special ? " zero filters" : "")}";
        yield return new(nameof(IKernels.WeightNormForward), name, Tolerance.Value, 2e-6,
            [v, scale, new("mean", g.Filters, Role.Out), new("norm", g.Filters, Role.Out), new("w", g.Length, Role.Out)],
            (k, o) => k.WeightNormForward(g, o[0], o[1], o[2], o[3], o[4])) { BenchmarkOnly = benchmark };
        foreach (bool accumulate in new[] { false, true })
        {
            var role = accumulate ? Role.InOut : Role.Out;
            yield return new(nameof(IKernels.WeightNormBackward), $"{name}{(accumulate ? " added" : "")}", Tolerance.Value, 4e-6,
                [v, scale, new("mean", g.Filters, Role.Out), new("norm", g.Filters, Role.Out), new("w", g.Length, Role.Out),
                    new("dw", g.Length, Role.In), new("dv", g.Length, role), new("dscale", g.Filters, role)],
                (k, o) =>
                {
                    k.WeightNormForward(g, o[0], o[1], o[2], o[3], o[4]);
                    k.WeightNormBackward(g, o[0], o[1], o[2], o[3], o[5], o[6], o[7], accumulate, accumulate);
                }) { BenchmarkOnly = benchmark };
        }
    }

    private static IEnumerable<KernelCase> Orthogonal(OrthogonalizeGeometry g, bool benchmark = false)
    {
        Operand v = new("v", g.Length, Role.In, Filters("v", g.Filters, false)), scale = new("scale", g.Filters, Role.In);
        yield return new(nameof(IKernels.OrthogonalizeForward), $"{g}", Tolerance.Value, 1e-6, [v, scale, new("w", g.Length, Role.Out)],
            (k, o) => k.OrthogonalizeForward(g, o[0], o[1], default, o[2])) { Flops = 2.0 * g.Macs, BenchmarkOnly = benchmark };
        foreach (bool accumulate in new[] { false, true })
        {
            var role = accumulate ? Role.InOut : Role.Out;
            yield return new(nameof(IKernels.OrthogonalizeBackward), $"{g}{(accumulate ? " added" : "")}", Tolerance.Value, 5e-5, // as many filters as dimensions: badly conditioned
                [v, scale, new("w", g.Length, Role.Out), new("dw", g.Length, Role.In), new("dv", g.Length, role), new("dscale", g.Filters, role)],
                (k, o) =>
                {
                    // Eigenvectors are not unique, so what is handed from one pass to the other is not compared.
                    using var state = o[0].Buffer.Device.Rent(g.StateLength);
                    k.OrthogonalizeForward(g, o[0], o[1], state.View, o[2]);
                    k.OrthogonalizeBackward(g, o[0], o[1], state.View, o[3], o[4], o[5], accumulate, accumulate);
                }) { Flops = 4.0 * g.Macs, BenchmarkOnly = benchmark };
        }
    }
}
