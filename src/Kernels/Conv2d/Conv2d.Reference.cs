namespace RefConv.Kernels;

internal sealed partial class ReferenceKernels
{
    public void Conv2dForward(in Conv2dGeometry g, BufferView x, BufferView w, BufferView b, BufferView y, BufferView moments)
    {
        Convolve(g, S(x), S(w), S(b), S(y));
        var output = S(y);
        for (int k = 0; k < g.K && !moments.IsEmpty; k++)
        {
            (S(moments)[k], S(moments)[g.K + k]) = MeanAndVariance(output, k, g.K);
        }
    }

    public PackedConv2d Conv2dPack(in Conv2dGeometry g, BufferView w, Conv2dAccuracy accuracy) => new ReferencePackedConv2d(g, S(w).ToArray());

    public void Conv2dPacked(PackedConv2d w, ActivationKind activation, BufferView x, BufferView b, BufferView residual, BufferView y)
    {
        double[] sums = new double[w.Geometry.OutputLength]; // y may be the residual's memory
        Convolve(w.Geometry, S(x), ((ReferencePackedConv2d)w).Weights, S(b), sums);
        for (int i = 0; i < sums.Length; i++) S(y)[i] = Activate(activation, residual.IsEmpty ? sums[i] : sums[i] + S(residual)[i]);
    }

    private static void Convolve(in Conv2dGeometry g, Span<double> input, Span<double> weight, Span<double> bias, Span<double> output)
    {
        for (int n = 0; n < g.N; n++)
        for (int p = 0; p < g.P; p++)
        for (int q = 0; q < g.Q; q++)
        for (int k = 0; k < g.K; k++)
        {
            double sum = bias.IsEmpty ? 0 : bias[k];
            for (int r = 0; r < g.R; r++)
            for (int s = 0; s < g.S; s++)
            for (int c = 0; c < g.GroupC; c++)
            {
                int i = InputIndex(g, n, p, q, k, r, s, c);
                if (i >= 0) sum += input[i] * weight[WeightIndex(g, r, s, c, k)];
            }
            output[OutputIndex(g, n, p, q, k)] = sum;
        }
    }

    public void Conv2dInputGradient(in Conv2dGeometry g, BufferView dy, BufferView w, BufferView dx, bool accumulate)
    {
        Span<double> outputGradient = S(dy), weight = S(w), inputGradient = S(dx);
        for (int pixel = 0; pixel < g.N * g.H * g.W && !accumulate; pixel++) inputGradient.Slice(pixel * g.InputPitch, g.C).Clear();
        // Every product of the forward pass sends its share of the gradient back to the input element that it used.
        for (int n = 0; n < g.N; n++)
        for (int p = 0; p < g.P; p++)
        for (int q = 0; q < g.Q; q++)
        for (int k = 0; k < g.K; k++)
        for (int r = 0; r < g.R; r++)
        for (int s = 0; s < g.S; s++)
        for (int c = 0; c < g.GroupC; c++)
        {
            int i = InputIndex(g, n, p, q, k, r, s, c);
            if (i >= 0) inputGradient[i] += outputGradient[OutputIndex(g, n, p, q, k)] * weight[WeightIndex(g, r, s, c, k)];
        }
    }

    public void Conv2dWeightGradient(in Conv2dGeometry g, BufferView x, BufferView dy, BufferView dw, bool accumulate)
    {
        Span<double> input = S(x), outputGradient = S(dy), weightGradient = S(dw);
        for (int r = 0; r < g.R; r++)
        for (int s = 0; s < g.S; s++)
        for (int c = 0; c < g.GroupC; c++)
        for (int k = 0; k < g.K; k++)
        {
            double sum = 0;
            for (int n = 0; n < g.N; n++)
            for (int p = 0; p < g.P; p++)
            for (int q = 0; q < g.Q; q++)
            {
                int i = InputIndex(g, n, p, q, k, r, s, c);
                if (i >= 0) sum += input[i] * outputGradient[OutputIndex(g, n, p, q, k)];
            }
            Put(ref weightGradient[WeightIndex(g, r, s, c, k)], sum, accumulate);
        }
    }

    /// <summary>
    /// Where in x [N, H, W, InputPitch] output (n, p, q, k) meets kernel element (r, s, c), c counting inside k's group; −1 if that is padding, a zero.
    /// </summary>
    private static int InputIndex(in Conv2dGeometry g, int n, int p, int q, int k, int r, int s, int c)
    {
        int h = (p * g.StrideH) + (r * g.DilationH) - g.PadTop;
        int w = (q * g.StrideW) + (s * g.DilationW) - g.PadLeft;
        if (h < 0 || h >= g.H || w < 0 || w >= g.W) return -1;
        int group = k / g.GroupK;
        return (((((n * g.H) + h) * g.W) + w) * g.InputPitch) + (group * g.GroupC) + c;
    }

    /// <summary>Index into y [N, P, Q, K].</summary>
    private static int OutputIndex(in Conv2dGeometry g, int n, int p, int q, int k) => (((((n * g.P) + p) * g.Q) + q) * g.K) + k;

    /// <summary>Index into w [R, S, C/g, K].</summary>
    private static int WeightIndex(in Conv2dGeometry g, int r, int s, int c, int k) => (((((r * g.S) + s) * g.GroupC) + c) * g.K) + k;

    /// <summary>The weights as they are: plain loops need no order of their own.</summary>
    private sealed class ReferencePackedConv2d(Conv2dGeometry g, double[] weights) : PackedConv2d(g)
    {
        public double[] Weights { get; } = weights;

        public override string Algorithm => "plain loops";

        public override long Bytes => (long)Weights.Length * sizeof(double);

        public override void Dispose()
        {
        }
    }
}
