using System.Runtime.InteropServices;
using ILGPU;
using ILGPU.Runtime;

namespace RefConv.Kernels;

/// <summary>
/// Where the parameters of an optimiser's step lie, as a table on the device, so that one launch takes them all: a network has a hundred small ones. A row is a
/// piece of one parameter: how far each of its operands is from the kernel's views, in elements, then the piece's length, then whether it can be read 128 bits at a
/// time. CUDA's memory is one address space: there the views are one and the same for all parameters, and a distance leads to any of them. OpenCL's buffers
/// know no distances, and the simulation checks bounds: there the views are the parameter's own, and every parameter is a launch.
/// </summary>
internal sealed class ParameterTable
{
    /// <summary>Elements of a piece: four groups of 256 threads on each of 132 multiprocessors share 8.6 M weights in one wave.</summary>
    public const int Piece = 16384;

    /// <summary>Tables kept, for steps that come again with the same parameters: one for each group of an optimiser.</summary>
    private const int Kept = 16;

    private readonly List<(long[] Rows, MemoryBuffer1D<float, Stride1D.Dense> Memory)> _tables = [];

    /// <summary>Pieces of one launch: its views, and which rows of the table are its own.</summary>
    public readonly record struct Launch(ArrayView<float>[] Views, int FirstRow, int Rows);

    /// <summary>The table of some parameters on the device; uploaded only when it has changed since the last step.</summary>
    /// <param name="device">The device.</param>
    /// <param name="parameters">Operands of each parameter, as many for each; those not given are empty.</param>
    /// <param name="launches">What to launch.</param>
    public ArrayView<long> Of(IlgpuDevice device, BufferView[][] parameters, out List<Launch> launches)
    {
        bool oneSpace = device.Accelerator.AcceleratorType == AcceleratorType.Cuda;
        var origin = device.View(default);
        List<long> rows = [];
        launches = [];
        int columns = parameters[0].Length + 2;
        foreach (var operands in parameters)
        {
            int firstRow = rows.Count / columns;
            long length = operands[0].Length;
            bool wide = operands.All(o => (o.Offset & 3) == 0);
            for (long first = 0; first < length; first += Piece)
            {
                foreach (var operand in operands) rows.Add(operand.IsEmpty ? 0 : first + (oneSpace ? Distance(origin, device.View(operand)) : 0));
                rows.Add(Math.Min(Piece, length - first));
                rows.Add(wide ? 1 : 0);
            }
            if (!oneSpace) launches.Add(new([.. operands.Select(device.View)], firstRow, (rows.Count / columns) - firstRow));
        }
        if (oneSpace) launches.Add(new([.. parameters[0].Select(_ => origin)], 0, rows.Count / columns));
        return Upload(device, CollectionsMarshal.AsSpan(rows));
    }

    private ArrayView<long> Upload(IlgpuDevice device, ReadOnlySpan<long> rows)
    {
        foreach (var (known, table) in _tables)
        {
            if (rows.SequenceEqual(known)) return Numbers(table, rows.Length);
        }
        if (_tables.Count == Kept)
        {
            device.GiveBack(_tables[0].Memory); // what used it comes before what will be in that memory next
            _tables.RemoveAt(0);
        }
        var memory = device.Keep(2L * Math.Max(1, rows.Length));
        _tables.Add((rows.ToArray(), memory));
        device.Upload(Numbers(memory, rows.Length), rows.ToArray());
        return Numbers(memory, rows.Length);
    }

    private static ArrayView<long> Numbers(MemoryBuffer1D<float, Stride1D.Dense> memory, int count) => memory.View.AsContiguous().Cast<long>().SubView(0, count);

    private static long Distance(ArrayView<float> from, ArrayView<float> to) => (to.LoadEffectiveAddressAsPtr() - from.LoadEffectiveAddressAsPtr()) / sizeof(float);
}
