namespace RefConv.Kernels;

internal sealed unsafe partial class CpuKernels
{
    public void Dropout(ulong seed, ulong stream, double p, BufferView x, BufferView y, bool accumulate)
    {
        float* xs = P(x), ys = P(y);
        float scale = (float)(1 / (1 - p));
        // Uniform ≥ p, asked of the 24-bit whole number that the uniform is made of: bits·2⁻²⁴ ≥ p.
        uint threshold = (uint)Math.Ceiling(p * (1 << 24));
        ParallelRange(y.Length, ElementGrain, (first, last) =>
        {
            uint* bits = stackalloc uint[4];
            for (long i = first; i < last; i += 4) // the grain is a multiple of 4: pieces begin where blocks of numbers do
            {
                ulong block = (ulong)i >> 2;
                (bits[0], bits[1], bits[2], bits[3]) = Philox.Block(
                    (uint)block, (uint)(block >> 32), (uint)stream, (uint)(stream >> 32), (uint)seed, (uint)(seed >> 32));
                int count = (int)Math.Min(4, last - i);
                for (int j = 0; j < count; j++)
                {
                    float value = bits[j] >> 8 >= threshold ? xs[i + j] * scale : 0;
                    ys[i + j] = accumulate ? ys[i + j] + value : value;
                }
            }
        });
    }
}
