using RefConv.Kernels;

namespace RefConv;

/// <summary>
/// How a tensor's memory order relates to PyTorch's. Files and state dicts speak PyTorch; memory has the order that the kernels want;
/// this is the one place where the two meet.
/// </summary>
/// <param name="TorchShape">The shape in state dicts and files.</param>
/// <param name="View">The axes permuted: the torch shape, perhaps with axes split or joined (the same elements in the same order).</param>
/// <param name="Permutation">Axis of <paramref name="View"/> that becomes axis i in memory.</param>
public sealed record ParameterLayout(Shape TorchShape, Shape View, int[] Permutation)
{
    /// <summary>Memory order and file order are the same.</summary>
    public static ParameterLayout Plain(Shape shape) => new(shape, shape, [.. Enumerable.Range(0, shape.Rank)]);

    /// <summary>Convolution weights: <c>[out, in/g, kh, kw]</c> in files, <c>[kh, kw, in/g, out]</c> in memory.</summary>
    public static ParameterLayout Conv2d(int cout, int groupCin, int kh, int kw)
    {
        var torch = new Shape(cout, groupCin, kh, kw);
        return new(torch, torch, [2, 3, 1, 0]);
    }

    /// <summary>
    /// Linear weights: <c>[out, in]</c> in files, <c>[in, out]</c> in memory. When the input is a flattened feature map,
    /// PyTorch counts its elements (c, h, w) and the engine (h, w, c): give the map's height and width.
    /// </summary>
    public static ParameterLayout Linear(int outFeatures, int inFeatures, int height = 1, int width = 1) =>
        new(new Shape(outFeatures, inFeatures), new Shape(outFeatures, inFeatures / (height * width), height, width), [2, 3, 1, 0]);

    /// <summary>Refocus weights: <c>[D, g, k, k]</c> in files; in memory the same, but <c>[k, k, in, out]</c> when g = 1 (see <see cref="RefocusGeometry"/>).</summary>
    public static ParameterLayout RefocusMap(in RefocusGeometry g)
    {
        var torch = new Shape(g.D, g.Groups, g.MapK, g.MapK);
        return g.Groups > 1 ? Plain(torch) : new(torch, new Shape(g.Cout, g.GroupC, g.MapK, g.MapK), [2, 3, 1, 0]);
    }

    /// <summary>The shape in memory.</summary>
    public Shape MemoryShape
    {
        get
        {
            int[] sizes = new int[Permutation.Length];
            for (int i = 0; i < sizes.Length; i++) sizes[i] = View[Permutation[i]];
            return new Shape(sizes);
        }
    }

    /// <summary>Reorders values from PyTorch's order to memory order.</summary>
    public T[] ToMemory<T>(ReadOnlySpan<T> torch) where T : unmanaged => Reorder(torch, toMemory: true);

    /// <summary>Reorders values from memory order to PyTorch's order.</summary>
    public T[] ToTorch<T>(ReadOnlySpan<T> memory) where T : unmanaged => Reorder(memory, toMemory: false);

    /// <summary>Memory has the file's order.</summary>
    internal bool IsPlain => Permutation.AsSpan().SequenceEqual(Enumerable.Range(0, Permutation.Length).ToArray());

    /// <summary>Memory has the order of convolution weights: see <see cref="Transposed"/>.</summary>
    internal bool IsTransposed => Permutation is [2, 3, 1, 0];

    /// <summary>The matrix that is transposed: file order [rows, columns, area], memory order [area, columns, rows].</summary>
    internal (int Rows, int Columns, int Area) Transposed => (View[0], View[1], View[2] * View[3]);

    private unsafe T[] Reorder<T>(ReadOnlySpan<T> source, bool toMemory)
        where T : unmanaged
    {
        if (IsPlain) return source.ToArray();
        if (!IsTransposed) return ReorderAxes(source, toMemory);
        if (source.Length != TorchShape.Count) throw new ArgumentException($"{source.Length} values were given for a parameter of shape {TorchShape}.");
        var target = GC.AllocateUninitializedArray<T>(source.Length);
        var (rows, columns, area) = Transposed;
        fixed (T* from = source, to = target)
        {
            if (toMemory) WeightTranspose.ToMemory(from, to, rows, columns, area);
            else WeightTranspose.ToTorch(from, to, rows, columns, area);
        }
        return target;
    }

    /// <summary>Any permutation, element by element.</summary>
    internal T[] ReorderAxes<T>(ReadOnlySpan<T> source, bool toMemory)
    {
        int rank = Permutation.Length;
        var target = new T[source.Length];
        int[] stride = new int[rank]; // in the torch order, of each memory axis
        for (int i = 0; i < rank; i++)
        {
            stride[i] = 1;
            for (int axis = Permutation[i] + 1; axis < rank; axis++) stride[i] *= View[axis];
        }
        Span<int> index = stackalloc int[rank];
        int torchIndex = 0, run = View[Permutation[rank - 1]], step = stride[rank - 1];
        for (int memoryIndex = 0; memoryIndex < source.Length;)
        {
            // The innermost axis of memory in one go.
            for (int i = 0, from = torchIndex; i < run; i++, memoryIndex++, from += step)
            {
                if (toMemory) target[memoryIndex] = source[from];
                else target[from] = source[memoryIndex];
            }
            for (int i = rank - 2; i >= 0; i--)
            {
                torchIndex += stride[i];
                if (++index[i] < View[Permutation[i]]) break;
                torchIndex -= index[i] * stride[i];
                index[i] = 0;
            }
        }
        return target;
    }
}

/// <summary>A tensor of a module's state: a weight, or a buffer such as a running mean.</summary>
/// <remarks>Values read and written here are in PyTorch's order; <see cref="Tensor.Data"/> is in memory order.</remarks>
public sealed class Parameter : Tensor
{
    /// <summary>Makes a parameter filled with zeros.</summary>
    /// <param name="device">Where it lives.</param>
    /// <param name="layout">Its shape in files and in memory.</param>
    /// <param name="trainable">False for buffers and frozen weights: no gradient, outside every optimiser.</param>
    public Parameter(Device device, ParameterLayout layout, bool trainable = true)
        : base(layout.MemoryShape, Memory(device, layout), trainable)
    {
        Layout = layout;
        ParameterBudget.Made(this);
        if (ParameterBudget.FillsWithZeros) device.Kernels.Fill(Data, 0);
    }

    private static BufferView Memory(Device device, ParameterLayout layout)
    {
        long count = ParameterBudget.Take(layout.TorchShape.Count);
        try
        {
            return device.Rent(count).View;
        }
        catch (OutOfMemoryException e)
        {
            throw MemoryNames.Of(e, $"a parameter of shape {layout.TorchShape}");
        }
    }

    /// <summary>Shape and order in files.</summary>
    public ParameterLayout Layout { get; }

    /// <summary>The shape PyTorch gives it.</summary>
    public Shape TorchShape => Layout.TorchShape;

    /// <summary>Trained by optimisers. Setting it false freezes the parameter.</summary>
    public bool Trainable
    {
        get => RequiresGrad;
        set => RequiresGrad = value;
    }

    /// <summary>Holds whole numbers: written to files as 64-bit integers (a batch norm's step counter).</summary>
    public bool IsInteger { get; init; }

    /// <summary>Values in PyTorch's order.</summary>
    public float[] ToTorch() => Layout.ToTorch<float>(ToArray());

    /// <summary>Values in PyTorch's order, as doubles.</summary>
    public double[] ToTorchDouble() => Layout.ToTorch<double>(ToDoubleArray());

    /// <summary>Overwrites the values, given in PyTorch's order.</summary>
    public void FromTorch(ReadOnlySpan<float> values) => CopyFrom(Layout.ToMemory(values));

    /// <inheritdoc cref="FromTorch(ReadOnlySpan{float})"/>
    public void FromTorch(ReadOnlySpan<double> values) => CopyFrom(Layout.ToMemory(values));

    /// <summary>A copy with memory of its own, without the gradient.</summary>
    public Parameter Clone()
    {
        var copy = new Parameter(Device, Layout, Trainable) { IsInteger = IsInteger };
        Device.Kernels.Scale(Data, copy.Data, 1, accumulate: false);
        return copy;
    }
}
