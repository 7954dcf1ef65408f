namespace RefConv.Kernels;

internal sealed partial class ReferenceKernels
{
    public void LayerNormForward(in LayerNormGeometry g, BufferView x, BufferView gamma, BufferView beta, BufferView mean, BufferView invStd, BufferView y)
    {
        for (int r = 0; r < g.Rows; r++)
        {
            var row = S(x).Slice(r * g.C, g.C);
            double mu = 0, variance = 0;
            foreach (double v in row) mu += v / g.C;
            foreach (double v in row) variance += (v - mu) * (v - mu) / g.C;
            double inverse = 1 / Math.Sqrt(variance + g.Epsilon);
            for (int c = 0; c < g.C; c++) S(y)[(r * g.C) + c] = (S(gamma)[c] * (row[c] - mu) * inverse) + S(beta)[c];
            if (!mean.IsEmpty) (S(mean)[r], S(invStd)[r]) = (mu, inverse);
        }
    }

    public void LayerNormBackward(in LayerNormGeometry g, BufferView x, BufferView dy, BufferView gamma, BufferView mean, BufferView invStd,
        BufferView dx, BufferView dgamma, BufferView dbeta, bool accumulateInput, bool accumulateParameters)
    {
        double[] sumGamma = new double[g.C], sumBeta = new double[g.C];
        for (int r = 0; r < g.Rows; r++)
        {
            double mu = S(mean)[r], inverse = S(invStd)[r], meanZ = 0, meanZX = 0;
            for (int c = 0; c < g.C; c++)
            {
                int i = (r * g.C) + c;
                double xhat = (S(x)[i] - mu) * inverse, z = S(dy)[i] * S(gamma)[c];
                meanZ += z / g.C;
                meanZX += z * xhat / g.C;
                sumGamma[c] += S(dy)[i] * xhat;
                sumBeta[c] += S(dy)[i];
            }
            for (int c = 0; c < g.C && !dx.IsEmpty; c++)
            {
                int i = (r * g.C) + c;
                double xhat = (S(x)[i] - mu) * inverse, z = S(dy)[i] * S(gamma)[c];
                Put(ref S(dx)[i], inverse * (z - meanZ - (xhat * meanZX)), accumulateInput);
            }
        }
        for (int c = 0; c < g.C && !dgamma.IsEmpty; c++)
        {
            Put(ref S(dgamma)[c], sumGamma[c], accumulateParameters);
            Put(ref S(dbeta)[c], sumBeta[c], accumulateParameters);
        }
    }
}
