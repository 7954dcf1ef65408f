using ILGPU;

namespace RefConv.Kernels;

internal sealed partial class GpuKernels
{
    private readonly ParameterTable _clipTable = new();

    public void ClipNorm(in ClipNormGeometry g, BufferView norm, params BufferView[] gradients)
    {
        gradients = [.. gradients.Where(v => !v.IsEmpty)];
        if (gradients.Length == 0)
        {
            Fill(norm, 0);
            return;
        }
        var table = _clipTable.Of(_device, [.. gradients.Select(v => new[] { v })], out var launches);
        int pieces = launches.Sum(l => l.Rows);
        using var partials = _device.Scratch(pieces);
        var arguments = new ClipArguments
        {
            Table = table, Partials = partials.Floats, Pieces = pieces, Norm = V(norm), MaxNorm = (float)g.MaxNorm, Epsilon = (float)g.Epsilon, Scale = (float)g.Scale,
        };
        foreach (var launch in launches) _device.Launcher.Launch(PieceSquaresKernel, (launch.Rows, 1, 1), Of(launch), ColumnGroup);
        _device.Launcher.Launch(NormKernel, (1, 1, 1), arguments with { Gradient = launches[0].Views[0] }, ColumnGroup);
        if (g.ChangesNothing) return;
        foreach (var launch in launches) _device.Launcher.Launch(ClipKernel, (launch.Rows, 1, 1), Of(launch), ColumnGroup);

        ClipArguments Of(ParameterTable.Launch launch) => arguments with { Gradient = launch.Views[0], FirstRow = launch.FirstRow };
    }

    internal struct ClipArguments
    {
        public ArrayView<float> Gradient, Partials, Norm;
        public ArrayView<long> Table;
        public float MaxNorm, Epsilon, Scale;
        public int FirstRow, Pieces;
    }

    /// <summary>Four bytes a weight, ceiling 3.35 TB/s: the 11.7 M gradients of a ResNet-18 take 14 µs at least; 85 % expected there. A thread adds 64 squares, a tree the threads.</summary>
    [GpuKernel(ColumnWork.Threads, MinGroups = 4, Hot = true)]
    private static void PieceSquaresKernel(ClipArguments a)
    {
        var shared = SharedMemory.Allocate<float>(ColumnWork.Threads);
        long row = (a.FirstRow + Grid.IdxX) * 3L, gradient = a.Table[row], count = a.Table[row + 1], whole = 0;
        Float4 even = Float4.Broadcast(0), odd = even;
        if (a.Table[row + 2] != 0)
        {
            var quads = a.Gradient.Cast<Float4>();
            long first = gradient / 4, i = Group.IdxX, end = count / 4; // a distance is a multiple of 4 here, also a negative one
            for (; i + Group.DimX < end; i += 2 * Group.DimX)
            {
                Float4 v = quads[first + i], w = quads[first + i + Group.DimX];
                even += v * v;
                odd += w * w;
            }
            if (i < end) even += quads[first + i] * quads[first + i];
            whole = end * 4;
        }
        float sum = Float4.Total(even + odd);
        for (long i = whole + Group.IdxX; i < count; i += Group.DimX) sum += a.Gradient[gradient + i] * a.Gradient[gradient + i];
        shared[Group.IdxX] = sum;
        Group.Barrier();
        for (int half = Group.DimX >> 1; half > 0; half >>= 1)
        {
            if (Group.IdxX < half) shared[Group.IdxX] = shared[Group.IdxX] + shared[Group.IdxX + half];
            Group.Barrier();
        }
        if (Group.IdxX == 0) a.Partials[a.FirstRow + Grid.IdxX] = shared[0];
    }

    /// <summary>Adds the pieces in double, each thread its own in order, then the threads in order: some thousands of numbers at most.</summary>
    [GpuKernel(ColumnWork.Threads)]
    private static void NormKernel(ClipArguments a)
    {
        var shared = SharedMemory.Allocate<double>(ColumnWork.Threads);
        double sum = 0;
        for (int i = Group.IdxX; i < a.Pieces; i += Group.DimX) sum += a.Partials[i];
        shared[Group.IdxX] = sum;
        Group.Barrier();
        if (Group.IdxX != 0) return;
        for (int i = 1; i < Group.DimX; i++) sum += shared[i];
        a.Norm[0] = a.Scale * MathF.Sqrt((float)sum);
    }

    /// <summary>Eight bytes a weight, ceiling 3.35 TB/s, expected 85 %; nothing where the norm is small enough, which all groups find out from one number.</summary>
    [GpuKernel(ColumnWork.Threads, MinGroups = 4, Hot = true, Wide = true)]
    private static void ClipKernel(ClipArguments a)
    {
        float clip = a.MaxNorm / (a.Norm[0] + a.Epsilon), factor = clip < 1 ? a.Scale * clip : a.Scale;
        if (factor == 1) return;
        long row = (a.FirstRow + Grid.IdxX) * 3L, gradient = a.Table[row], count = a.Table[row + 1], whole = 0;
        if (a.Table[row + 2] != 0)
        {
            var quads = a.Gradient.Cast<Float4>();
            for (long i = Group.IdxX; i < count / 4; i += Group.DimX) quads[(gradient / 4) + i] = factor * quads[(gradient / 4) + i];
            whole = count / 4 * 4;
        }
        for (long i = whole + Group.IdxX; i < count; i += Group.DimX) a.Gradient[gradient + i] = factor * a.Gradient[gradient + i];
    }
}
