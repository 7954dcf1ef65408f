using ILGPU;

namespace RefConv.Kernels;

internal sealed partial class GpuKernels
{
    private readonly ParameterTable _sgdTable = new(), _adamTable = new();

    public void SgdStep(in SgdStepGeometry g, params SgdOperand[] parameters)
    {
        if (parameters.Length == 0) return;
        var table = _sgdTable.Of(_device, [.. parameters.Select(p => new[] { p.Weight, p.Gradient, p.Velocity })], out var launches);
        foreach (var launch in launches)
        {
            _device.Launcher.Launch(SgdKernel, (launch.Rows, 1, 1), new SgdArguments
            {
                Weight = launch.Views[0], Gradient = launch.Views[1], Velocity = launch.Views[2], Table = table, FirstRow = launch.FirstRow,
                LearningRate = (float)g.LearningRate, Momentum = (float)g.Momentum, WeightDecay = (float)g.WeightDecay, First = g.First ? 1 : 0, Nesterov = g.Nesterov ? 1 : 0,
            }, ColumnGroup);
        }
    }

    internal struct SgdArguments
    {
        public ArrayView<float> Weight, Gradient, Velocity;
        public ArrayView<long> Table;
        public float LearningRate, Momentum, WeightDecay;
        public int FirstRow, First, Nesterov;
    }

    /// <summary>
    /// With momentum 20 bytes a weight (three streams read, two written), ceiling 3.35 TB/s: the 11.7 M weights of a ResNet-18 take 70 µs at least; 85 % expected there,
    /// less for small networks, where a launch is what counts.
    /// </summary>
    [GpuKernel(ColumnWork.Threads, MinGroups = 4, Hot = true, Wide = true)]
    private static void SgdKernel(SgdArguments a)
    {
        long row = (a.FirstRow + Grid.IdxX) * 5L, weight = a.Table[row], gradient = a.Table[row + 1], velocity = a.Table[row + 2], count = a.Table[row + 3], whole = 0;
        if (a.Table[row + 4] != 0)
        {
            // Distances are multiples of 4 here, also negative ones.
            for (long i = Group.IdxX; i < count / 4; i += Group.DimX) SgdLanes<Float4>(a, (weight / 4) + i, (gradient / 4) + i, (velocity / 4) + i);
            whole = count / 4 * 4;
        }
        for (long i = whole + Group.IdxX; i < count; i += Group.DimX) SgdLanes<Float1>(a, weight + i, gradient + i, velocity + i);
    }

    private static void SgdLanes<F>(in SgdArguments a, long weight, long gradient, long velocity) where F : unmanaged, ILanes<F>
    {
        ArrayView<F> ws = a.Weight.Cast<F>(), vs = a.Velocity.Cast<F>();
        F w = ws[weight], d = a.Gradient.Cast<F>()[gradient] + (F.Broadcast(a.WeightDecay) * w);
        if (a.Momentum != 0)
        {
            F mu = F.Broadcast(a.Momentum), v = d;
            // The first step must not read v: nothing was ever written there.
            if (a.First == 0) v += mu * vs[velocity];
            vs[velocity] = v;
            d = a.Nesterov != 0 ? d + (mu * v) : v;
        }
        ws[weight] = w - (F.Broadcast(a.LearningRate) * d);
    }
}
