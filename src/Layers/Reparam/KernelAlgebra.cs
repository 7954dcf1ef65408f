namespace RefConv.Layers;

/// <summary>
/// A convolution kernel and its bias as plain numbers, in double and in PyTorch's order: what the algebra of re-parameterisation works on.
/// y[o] = bias[o] + Σ_{i,u,v} weight[o,i,u,v] · x[q·in/g + i, …], q being the group of o.
/// </summary>
/// <param name="Out">Output channels.</param>
/// <param name="GroupIn">Input channels of a group: in/g.</param>
/// <param name="Height">Kernel rows.</param>
/// <param name="Width">Kernel columns.</param>
/// <param name="Groups">Channel groups g.</param>
/// <param name="Weight">[out, in/g, kh, kw]</param>
/// <param name="Bias">[out]</param>
public sealed record Kernel(int Out, int GroupIn, int Height, int Width, int Groups, double[] Weight, double[] Bias)
{
    /// <summary>Input channels.</summary>
    public int In => GroupIn * Groups;

    /// <summary>Output channels of a group.</summary>
    public int GroupOut => Out / Groups;

    /// <summary>Elements of one kernel plane.</summary>
    public int Area => Height * Width;

    /// <summary>The element o, i, u, v; i counts inside the group.</summary>
    public ref double this[int o, int i, int u, int v] => ref Weight[(((o * GroupIn) + i) * Height + u) * Width + v];

    /// <summary>A kernel of zeros.</summary>
    public static Kernel Zero(int cout, int groupIn, int height, int width, int groups) =>
        new(cout, groupIn, height, width, groups, new double[(long)cout * groupIn * height * width], new double[cout]);

    /// <summary>The values of a convolution; its stride, padding and dilation play no part.</summary>
    public static Kernel Of(Conv2d conv) => new(conv.OutChannels, conv.InChannels / conv.Options.Groups, conv.KernelSize.H, conv.KernelSize.W, conv.Options.Groups,
        conv.Weight.ToTorchDouble(), conv.Bias?.ToTorchDouble() ?? new double[conv.OutChannels]);

    /// <summary>A convolution with these values.</summary>
    /// <param name="device">Where to make it.</param>
    /// <param name="options">Stride, padding, dilation and groups.</param>
    /// <param name="bias">With a bias; without one, this kernel's must be 0.</param>
    public Conv2d ToConv2d(RefConv.Kernels.Device device, Conv2dOptions options, bool bias = true)
    {
        var conv = new Conv2d(device, In, Out, (Height, Width), options with { Groups = Groups }, bias);
        conv.Weight.FromTorch(Weight);
        conv.Bias?.FromTorch(Bias);
        return conv;
    }

    /// <inheritdoc/>
    public override string ToString() => $"[{Out}, {GroupIn}, {Height}, {Width}] in {Groups} group{(Groups == 1 ? "" : "s")}";
}

/// <summary>
/// The algebra: pure functions from kernels to kernels, computed in double. Each has the condition under which it holds and throws where it does not.
/// Section numbers T1 to T6 are those of the Diverse Branch Block paper (arXiv 2103.13425).
/// </summary>
public static class KernelAlgebra
{
    /// <summary>
    /// T1. A batch norm behind a convolution: t = γ/√(var + ε), W' = t·W, b' = β + (b − μ)·t. Holds for every stride, padding, dilation and group number,
    /// because padding pads what the convolution reads, before the norm.
    /// </summary>
    /// <exception cref="ArgumentException">The norm has another number of channels.</exception>
    public static Kernel Fold(Kernel kernel, BatchNorm2d norm)
    {
        if (norm.Channels != kernel.Out) throw new ArgumentException($"The norm has {norm.Channels} channels, the kernel {kernel} gives {kernel.Out}.");
        var (scale, shift) = Affine(norm);
        var result = Scale(kernel, scale);
        for (int o = 0; o < kernel.Out; o++) result.Bias[o] += shift[o];
        return result;
    }

    /// <summary>A batch norm in evaluation as y = x·scale + shift per channel: scale = γ/√(var + ε), shift = β − μ·scale.</summary>
    public static (double[] Scale, double[] Shift) Affine(BatchNorm2d norm)
    {
        double[] scale = norm.Weight.ToTorchDouble(), shift = norm.Bias.ToTorchDouble(), mean = norm.RunningMean.ToTorchDouble(), variance = norm.RunningVar.ToTorchDouble();
        for (int c = 0; c < scale.Length; c++)
        {
            scale[c] /= Math.Sqrt(variance[c] + norm.Eps);
            shift[c] -= mean[c] * scale[c];
        }
        return (scale, shift);
    }

    /// <summary>W'[o] = v[o]·W[o], b'[o] = v[o]·b[o]: channel attention that does not depend on the input (ASR), or a norm's scale.</summary>
    /// <exception cref="ArgumentException">Another number of factors than output channels.</exception>
    public static Kernel Scale(Kernel kernel, double[] v)
    {
        if (v.Length != kernel.Out) throw new ArgumentException($"{v.Length} factors were given for the {kernel.Out} output channels of {kernel}.");
        var result = kernel with { Weight = [.. kernel.Weight], Bias = [.. kernel.Bias] };
        int row = kernel.GroupIn * kernel.Area;
        for (int o = 0; o < kernel.Out; o++)
        {
            foreach (ref double w in result.Weight.AsSpan(o * row, row)) w *= v[o];
            result.Bias[o] *= v[o];
        }
        return result;
    }

    /// <summary>T2. Parallel branches on one input: kernels and biases add. The windows must be aligned: same size here, same stride and dilation in the model.</summary>
    /// <exception cref="ArgumentException">Shapes or groups differ: bring both to one size with <see cref="Place"/> first.</exception>
    public static Kernel Add(Kernel a, Kernel b)
    {
        if ((a.Out, a.GroupIn, a.Height, a.Width, a.Groups) != (b.Out, b.GroupIn, b.Height, b.Width, b.Groups))
            throw new ArgumentException($"Kernels {a} and {b} cannot be added: their shapes differ. Place the smaller one inside a kernel of the larger size first.");
        return a with { Weight = Sum(a.Weight, b.Weight), Bias = Sum(a.Bias, b.Bias) };

        static double[] Sum(double[] x, double[] y)
        {
            double[] sum = new double[x.Length];
            for (int i = 0; i < sum.Length; i++) sum[i] = x[i] + y[i];
            return sum;
        }
    }

    /// <summary>
    /// T6. A kernel inside a larger one of zeros, its first row at height/2 − kh/2 and its first column at width/2 − kw/2 (whole division: that is the
    /// centre for odd sizes, and the tap that a 1-d kernel of an even size belongs to).
    /// </summary>
    /// <exception cref="ArgumentException">It does not fit.</exception>
    public static Kernel Place(Kernel kernel, int height, int width)
    {
        if (kernel.Height > height || kernel.Width > width) throw new ArgumentException($"The kernel {kernel} does not fit into {height}×{width}.");
        var result = Kernel.Zero(kernel.Out, kernel.GroupIn, height, width, kernel.Groups) with { Bias = [.. kernel.Bias] };
        int top = (height / 2) - (kernel.Height / 2), left = (width / 2) - (kernel.Width / 2);
        for (int o = 0; o < kernel.Out; o++)
            for (int i = 0; i < kernel.GroupIn; i++)
                for (int u = 0; u < kernel.Height; u++)
                    for (int v = 0; v < kernel.Width; v++) result[o, i, top + u, left + v] = kernel[o, i, u, v];
        return result;
    }

    /// <summary>
    /// The identity as a kernel: W[o, o mod (C/g), kh/2, kw/2] = 1. The second index counts inside the group, which is what the remainder is for.
    /// It is the identity of a layer with stride 1 and padding d·(k/2).
    /// </summary>
    /// <exception cref="ArgumentException">An even size has no middle; or groups do not divide the channels.</exception>
    public static Kernel Identity(int channels, int height, int width, int groups)
    {
        if (height % 2 == 0 || width % 2 == 0) throw new ArgumentException($"A kernel of {height}×{width} has no middle, so it cannot be the identity. Use odd sizes.");
        CheckGroups(channels, groups);
        var result = Kernel.Zero(channels, channels / groups, height, width, groups);
        for (int o = 0; o < channels; o++) result[o, o % result.GroupIn, height / 2, width / 2] = 1;
        return result;
    }

    /// <summary>Average pooling as a kernel: W[c, c mod (C/g), u, v] = 1/(kh·kw). Holds where the pool counts padding in its divisor; elsewhere the border is wrong.</summary>
    /// <param name="channels">Channels.</param>
    /// <param name="height">Window rows.</param>
    /// <param name="width">Window columns.</param>
    /// <param name="groups">Groups of the kernel wanted.</param>
    /// <param name="countIncludePad">What the pool does.</param>
    /// <exception cref="ArgumentException">The pool does not count padding; or groups do not divide the channels.</exception>
    public static Kernel Average(int channels, int height, int width, int groups, bool countIncludePad = true)
    {
        if (!countIncludePad) throw new ArgumentException("A pool that leaves padding out of its divisor is no convolution: at the border it divides by less. Use countIncludePad.");
        CheckGroups(channels, groups);
        var result = Kernel.Zero(channels, channels / groups, height, width, groups);
        for (int o = 0; o < channels; o++)
            for (int u = 0; u < height; u++)
                for (int v = 0; v < width; v++) result[o, o % result.GroupIn, u, v] = 1.0 / (height * width);
        return result;
    }

    /// <summary>
    /// T3. A 1×1 convolution, then a k×k one, inside each group q: W[o,i] = Σ_p W₂[o,p]·W₁[qP/g + p, i] and b[o] = b₂[o] + Σ_p Σ_{u,v} W₂[o,p,u,v]·b₁[qP/g + p].
    /// The merged layer pads its input with 0, so the map in the middle must have been padded with b₁ (see <paramref name="borderIsBias"/>). Of a first kernel larger than 1×1
    /// (stride 1, no dilation) the two together have h₁ + h₂ − 1 rows, taps u + a: W[o,i,u+a] = Σ_p Σ W₂[o,p,u]·W₁[qP/g + p, i, a].
    /// </summary>
    /// <param name="first">What is computed first.</param>
    /// <param name="second">k×k.</param>
    /// <param name="borderIsBias">
    /// The map in the middle is padded with what the first one makes of zeros, or not padded at all. Behind a 1×1 that is its bias; behind a larger kernel it takes an input that
    /// was padded for both.
    /// </param>
    /// <exception cref="ArgumentException">Shapes do not follow one another; or the border would be wrong.</exception>
    public static Kernel Then(Kernel first, Kernel second, bool borderIsBias)
    {
        CheckChain(first, second);
        if (!borderIsBias && first.Area > 1)
            throw new ArgumentException($"The map between the two convolutions is padded with 0, but that is not what {first} makes of zeros around its input: the border of the merged layer would be wrong. Pad the input for both.");
        if (!borderIsBias && first.Bias.Any(b => b != 0))
            throw new ArgumentException("The map between the two convolutions is padded with 0, but 0 is not what the first one makes of its padding (its bias is): the border of the merged layer would be wrong. Pad with the bias.");
        var result = Kernel.Zero(second.Out, first.GroupIn, first.Height + second.Height - 1, first.Width + second.Width - 1, second.Groups);
        for (int o = 0; o < second.Out; o++)
        {
            int middle = o / second.GroupOut * second.GroupIn;
            result.Bias[o] = second.Bias[o];
            for (int p = 0; p < second.GroupIn; p++)
            {
                var plane = second.Weight.AsSpan(((o * second.GroupIn) + p) * second.Area, second.Area);
                foreach (double w in plane) result.Bias[o] += w * first.Bias[middle + p];
                for (int i = 0; i < first.GroupIn; i++)
                    for (int a = 0; a < first.Height; a++)
                        for (int b = 0; b < first.Width; b++) AddTaps(plane, first[middle + p, i, a, b], o, i, a, b);
            }
        }
        return result;

        void AddTaps(ReadOnlySpan<double> plane, double factor, int o, int i, int a, int b)
        {
            int run = first.Area == 1 ? plane.Length : second.Width; // neighbours here and there
            for (int from = 0; from < plane.Length; from += run)
            {
                var target = result.Weight.AsSpan((((((o * result.GroupIn) + i) * result.Height) + (from / second.Width) + a) * result.Width) + b, run);
                for (int t = 0; t < run; t++) target[t] += factor * plane[from + t];
            }
        }
    }

    /// <summary>A k×k convolution, then a 1×1: W[o,i] = Σ_p W₂[o,p]·W₁[qP/g + p, i], b = b₂ + W₂·b₁. Exact everywhere, whatever the padding of the first.</summary>
    /// <exception cref="ArgumentException">Shapes do not follow one another.</exception>
    public static Kernel ThenPointwise(Kernel first, Kernel second)
    {
        if (second.Area != 1) throw new ArgumentException($"The second kernel must be 1×1, it is {second}. Of 1×1 and then k×k use Then.");
        CheckChain(first, second);
        var result = Kernel.Zero(second.Out, first.GroupIn, first.Height, first.Width, second.Groups);
        int row = first.GroupIn * first.Area;
        for (int o = 0; o < second.Out; o++)
        {
            int middle = o / second.GroupOut * second.GroupIn;
            result.Bias[o] = second.Bias[o];
            var target = result.Weight.AsSpan(o * row, row);
            for (int p = 0; p < second.GroupIn; p++)
            {
                double f = second.Weight[(o * second.GroupIn) + p];
                result.Bias[o] += f * first.Bias[middle + p];
                var source = first.Weight.AsSpan((middle + p) * row, row);
                for (int t = 0; t < row; t++) target[t] += f * source[t];
            }
        }
        return result;
    }

    /// <summary>T4. Branches that write disjoint ranges of output channels: kernels and biases one after another. With <paramref name="groups"/>, branch q reads only group q of the input.</summary>
    /// <param name="groups">Groups of the result: 1, where all branches read the whole input; or the number of branches, each reading its own part.</param>
    /// <param name="kernels">The branches, in channel order.</param>
    /// <exception cref="ArgumentException">Sizes differ, or the branches are no groups.</exception>
    public static Kernel Concat(int groups, params IReadOnlyList<Kernel> kernels)
    {
        if (kernels.Count == 0) throw new ArgumentException("There is nothing to join.");
        var first = kernels[0];
        if (kernels.Any(k => (k.GroupIn, k.Height, k.Width, k.Groups) != (first.GroupIn, first.Height, first.Width, 1)))
            throw new ArgumentException("Kernels that are joined along their output channels must agree in everything else, and have one group each.");
        if (groups != 1 && (groups != kernels.Count || kernels.Any(k => k.Out != first.Out)))
            throw new ArgumentException($"{kernels.Count} kernels make {groups} groups only if there are as many, all with the same number of output channels.");
        return new Kernel(kernels.Sum(k => k.Out), first.GroupIn, first.Height, first.Width, groups,
            [.. kernels.SelectMany(k => k.Weight)], [.. kernels.SelectMany(k => k.Bias)]);
    }

    /// <summary>
    /// Refocusing (RefConv): the kernel W seen as one picture of D = out·in/g channels, its planes in order, plus a convolution over that picture whose groups are
    /// runs of g neighbouring planes: W'[d] = W[d] + Σ_{j&lt;g} map[d,j] ∗ W[d/g·g + j], padded to the same size.
    /// </summary>
    /// <param name="kernel">The basis W.</param>
    /// <param name="map">[D, g, mapK, mapK]</param>
    /// <param name="mapK">Odd, and no larger than the kernel.</param>
    /// <param name="shortcut">With W itself; without, the second term alone.</param>
    /// <exception cref="ArgumentException">An even or too large map, or one of another length.</exception>
    public static Kernel Refocus(Kernel kernel, double[] map, int mapK, bool shortcut = true)
    {
        var (h, w, g, p) = (kernel.Height, kernel.Width, kernel.Groups, mapK / 2);
        if (mapK < 1 || mapK % 2 == 0 || mapK > Math.Min(h, w))
            throw new ArgumentException($"The refocusing map must have an odd size of at most {Math.Min(h, w)}, so that the kernel keeps its size; it is {mapK}.");
        int planes = kernel.Out * kernel.GroupIn;
        if (map.Length != planes * g * mapK * mapK) throw new ArgumentException($"{map.Length} refocus weights were given, {kernel} with a map of {mapK}×{mapK} has {planes * g * mapK * mapK}.");
        var result = kernel with { Weight = shortcut ? [.. kernel.Weight] : new double[kernel.Weight.Length], Bias = [.. kernel.Bias] };
        for (int d = 0; d < planes; d++)
            for (int j = 0; j < g; j++)
            {
                var source = kernel.Weight.AsSpan(((d / g * g) + j) * kernel.Area, kernel.Area);
                var target = result.Weight.AsSpan(d * kernel.Area, kernel.Area);
                var taps = map.AsSpan(((d * g) + j) * mapK * mapK, mapK * mapK);
                for (int y = 0; y < h; y++)
                    for (int x = 0; x < w; x++)
                        for (int u = Math.Max(0, p - y); u < Math.Min(mapK, h + p - y); u++)
                            for (int v = Math.Max(0, p - x); v < Math.Min(mapK, w + p - x); v++) target[(y * w) + x] += taps[(u * mapK) + v] * source[((y + u - p) * w) + x + v - p];
            }
        return result;
    }

    private static void CheckGroups(int channels, int groups)
    {
        if (groups < 1 || channels % groups != 0) throw new ArgumentException($"groups={groups} must divide the {channels} channels.");
    }

    private static void CheckChain(Kernel first, Kernel second)
    {
        if (first.Out != second.In || first.Groups != second.Groups)
            throw new ArgumentException($"The kernels {first} and {second} do not follow one another: the second must read the {first.Out} channels of the first, in as many groups.");
    }
}
