using ILGPU;

namespace RefConv.Kernels;

internal sealed partial class GpuKernels
{
    public void AdamStep(in AdamStepGeometry g, params AdamOperand[] parameters)
    {
        if (parameters.Length == 0) return;
        var table = _adamTable.Of(_device, [.. parameters.Select(p => new[] { p.Weight, p.Gradient, p.Mean, p.Square, p.LargestSquare })], out var launches);
        foreach (var launch in launches)
        {
            _device.Launcher.Launch(AdamKernel, (launch.Rows, 1, 1), new AdamArguments
            {
                Weight = launch.Views[0], Gradient = launch.Views[1], Mean = launch.Views[2], Square = launch.Views[3], Largest = launch.Views[4], Table = table, FirstRow = launch.FirstRow,
                Beta1 = (float)g.Beta1, OneMinusBeta1 = (float)(1 - g.Beta1), Beta2 = (float)g.Beta2, OneMinusBeta2 = (float)(1 - g.Beta2), Decay = g.Decoupled ? 0 : (float)g.WeightDecay,
                Keep = g.Decoupled ? (float)(1 - (g.LearningRate * g.WeightDecay)) : 1, Epsilon = (float)g.Epsilon, StepSize = (float)g.StepSize,
                InverseRootCorrection = (float)(1 / g.RootCorrection), AmsGrad = g.AmsGrad ? 1 : 0,
            }, ColumnGroup);
        }
    }

    internal struct AdamArguments
    {
        public ArrayView<float> Weight, Gradient, Mean, Square, Largest;
        public ArrayView<long> Table;
        public float Beta1, OneMinusBeta1, Beta2, OneMinusBeta2, Decay, Keep, Epsilon, StepSize, InverseRootCorrection;
        public int FirstRow, AmsGrad;
    }

    /// <summary>28 bytes a weight (36 with AMSGrad), ceiling 3.35 TB/s, expected 85 %; the root and the division are far from being the bound.</summary>
    [GpuKernel(ColumnWork.Threads, MinGroups = 4, Hot = true, Wide = true)]
    private static void AdamKernel(AdamArguments a)
    {
        long row = (a.FirstRow + Grid.IdxX) * 7L, w = a.Table[row], g = a.Table[row + 1], m = a.Table[row + 2], v = a.Table[row + 3], l = a.Table[row + 4], count = a.Table[row + 5], whole = 0;
        if (a.Table[row + 6] != 0)
        {
            // Distances are multiples of 4 here, also negative ones.
            for (long i = Group.IdxX; i < count / 4; i += Group.DimX) AdamLanes<Float4>(a, (w / 4) + i, (g / 4) + i, (m / 4) + i, (v / 4) + i, (l / 4) + i);
            whole = count / 4 * 4;
        }
        for (long i = whole + Group.IdxX; i < count; i += Group.DimX) AdamLanes<Float1>(a, w + i, g + i, m + i, v + i, l + i);
    }

    private static void AdamLanes<F>(in AdamArguments a, long w, long g, long m, long v, long l) where F : unmanaged, ILanes<F>
    {
        ArrayView<F> ws = a.Weight.Cast<F>(), ms = a.Mean.Cast<F>(), vs = a.Square.Cast<F>(), ls = a.Largest.Cast<F>();
        F weight = ws[w], d = a.Gradient.Cast<F>()[g] + (F.Broadcast(a.Decay) * weight);
        F mean = (F.Broadcast(a.Beta1) * ms[m]) + (F.Broadcast(a.OneMinusBeta1) * d), square = (F.Broadcast(a.Beta2) * vs[v]) + (F.Broadcast(a.OneMinusBeta2) * d * d);
        ms[m] = mean;
        vs[v] = square;
        if (a.AmsGrad != 0)
        {
            F largest = ls[l];
            square = F.AtMost(square, largest, largest, square);
            ls[l] = square;
        }
        F root = (F.Sqrt(square) * F.Broadcast(a.InverseRootCorrection)) + F.Broadcast(a.Epsilon);
        ws[w] = (F.Broadcast(a.Keep) * weight) - (F.Broadcast(a.StepSize) * mean / root);
    }
}
