namespace RefConv.Kernels;

/// <summary>
/// Layer norm is done row by row: a row of channels fits the first-level cache, so its second and third reading cost no memory traffic, and x and dy
/// are fetched once. Forward: mean, then variance around it, then the result. Backward: two sums over the row, then dx and the row's part of dγ and dβ together.
/// </summary>
internal sealed unsafe partial class CpuKernels
{
    public void LayerNormForward(in LayerNormGeometry g, BufferView x, BufferView gamma, BufferView beta, BufferView mean, BufferView invStd, BufferView y)
    {
        float* xs = P(x), ys = P(y), gammas = P(gamma), betas = P(beta), means = P(mean), inverses = P(invStd);
        int channels = g.C;
        double epsilon = g.Epsilon;
        ParallelRange(g.Rows, Math.Max(1, ElementGrain / channels), (first, last) =>
        {
            for (long row = first; row < last; row++)
            {
                float* from = xs + (row * channels);
                float centre = (float)(SumRun<PlainTerm>(from, channels) / channels);
                var (rest, squares) = CentredSums(from, channels, centre);
                // What the float left of the mean: nothing is lost where the mean is a thousand times the deviation.
                rest /= channels;
                double inverse = 1 / Math.Sqrt(Math.Max(0, (squares / channels) - (rest * rest)) + epsilon);
                if (means != null) (means[row], inverses[row]) = ((float)(centre + rest), (float)inverse);
                OverChannels(new NormaliseRow(from, gammas, betas, ys + (row * channels), centre, (float)inverse, (float)(-rest * inverse)), 0, row, 0, channels);
            }
        });
    }

    public void LayerNormBackward(in LayerNormGeometry g, BufferView x, BufferView dy, BufferView gamma, BufferView mean, BufferView invStd,
        BufferView dx, BufferView dgamma, BufferView dbeta, bool accumulateInput, bool accumulateParameters)
    {
        float* xs = P(x), dys = P(dy), gammas = P(gamma), means = P(mean), inverses = P(invStd), dxs = P(dx);
        int channels = g.C;
        bool parameters = !dgamma.IsEmpty;
        long rows = g.Rows, grain = (Math.Max(1, ElementGrain / channels) + SumGroup - 1) / SumGroup * SumGroup;
        int pieces = Pieces(rows, grain);
        using var scratch = parameters ? _device.Scratch(6L * channels * pieces) : default; // per piece: dγ and dβ in double, and of a group of rows in float
        double* sums = (double*)scratch.Pointer;
        float* groups = scratch.Pointer + (4L * channels * pieces);
        ParallelIfWorth(pieces, rows * channels, piece =>
        {
            double* sum = parameters ? sums + (2L * channels * piece) : null;
            float* group = parameters ? groups + (2L * channels * piece) : null;
            if (parameters)
            {
                new Span<double>(sum, 2 * channels).Clear();
                new Span<float>(group, 2 * channels).Clear();
            }
            long first = piece * grain, last = Math.Min(rows, first + grain);
            for (long row = first; row < last; row++)
            {
                long at = row * channels;
                double inverse = inverses[row];
                double slope = 0, offset = 0;
                if (dxs != null)
                {
                    // dx = s·(z − mean(z) − x̂·mean(z·x̂)) with s = invStd and x̂ = (x − μ)·s: a line in z and x − μ.
                    var (z, zx) = LayerNormSums(xs + at, dys + at, gammas, channels, means[row]);
                    slope = -inverse * inverse * inverse * zx / channels;
                    offset = -inverse * z / channels;
                }
                var line = new LayerNormLine(means[row], (float)inverse, (float)slope, (float)offset, accumulateInput);
                OverChannels(new LayerNormGradientRow(xs + at, dys + at, gammas, line, dxs == null ? null : dxs + at, group, channels), 0, row, 0, channels);
                if (parameters && ((row - first) % SumGroup == SumGroup - 1 || row == last - 1)) FlushGroup(group, sum, 2 * channels);
            }
        });
        if (parameters) WriteParameterGradients(sums, pieces, channels, P(dgamma), P(dbeta), accumulateParameters);
    }

    /// <summary>Adds float sums to double sums and clears them.</summary>
    private static void FlushGroup(float* group, double* sum, int count)
    {
        OverChannels(new AddToDoublesKernel(group, sum), 0, 0, 0, count);
        new Span<float>(group, count).Clear();
    }

    /// <summary>The pieces' sums [pieces, 2, channels], added in order.</summary>
    private static void WriteParameterGradients(double* sums, int pieces, int channels, float* dgamma, float* dbeta, bool accumulate)
    {
        for (int c = 0; c < channels; c++)
        {
            double gamma = accumulate ? dgamma[c] : 0, beta = accumulate ? dbeta[c] : 0;
            for (int p = 0; p < pieces; p++)
            {
                gamma += sums[(2L * channels * p) + c];
                beta += sums[(2L * channels * p) + channels + c];
            }
            (dgamma[c], dbeta[c]) = ((float)gamma, (float)beta);
        }
    }
}
