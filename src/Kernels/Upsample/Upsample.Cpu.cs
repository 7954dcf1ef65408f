using System.Runtime.CompilerServices;

namespace RefConv.Kernels;

/// <summary>A piece of work is some rows of the small map, and the s large rows that belong to each.</summary>
internal sealed unsafe partial class CpuKernels
{
    public void UpsampleNearestForward(in UpsampleGeometry g, BufferView x, BufferView y)
    {
        float* from = P(x), to = P(y);
        int scale = g.Scale, width = g.W, channels = g.C;
        long row = (long)width * channels * scale; // of the large map
        ParallelRange((long)g.N * g.H, Math.Max(1, ElementGrain / (row * scale)), (first, last) =>
        {
            for (long h = first; h < last; h++)
            {
                float* target = to + (h * scale * row), source = from + (h * width * channels);
                for (int w = 0; w < width; w++, source += channels)
                {
                    for (int j = 0; j < scale; j++) CopyRun(source, target + ((((long)w * scale) + j) * channels), channels, accumulate: false);
                }
                for (int i = 1; i < scale; i++) CopyRun(target, target + (i * row), row, accumulate: false);
            }
        });
    }

    public void UpsampleNearestBackward(in UpsampleGeometry g, BufferView dy, BufferView dx, bool accumulate)
    {
        float* from = P(dy), to = P(dx);
        int scale = g.Scale, width = g.W, channels = g.C;
        long row = (long)width * channels * scale;
        ParallelRange((long)g.N * g.H, Math.Max(1, ElementGrain / (row * scale)), (first, last) =>
        {
            for (long h = first; h < last; h++)
            {
                for (int w = 0; w < width; w++)
                {
                    float* source = from + (h * scale * row) + ((long)w * scale * channels), target = to + (((h * width) + w) * channels);
                    OverChannels(new WindowSum(source, target, row, channels, scale, accumulate), 0, 0, 0, channels);
                }
            }
        });
    }

    /// <summary>target (+)= the sum of a scale × scale window.</summary>
    private readonly struct WindowSum(float* source, float* target, long rowStride, int channels, int scale, bool accumulate) : IRowKernel
    {
        private readonly float* _source = source, _target = target;
        private readonly long _rowStride = rowStride;
        private readonly int _channels = channels, _scale = scale;
        private readonly bool _accumulate = accumulate;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Run<V>(long image, long row, int c) where V : unmanaged
        {
            V sum = Simd.Broadcast<V>(0);
            for (int i = 0; i < _scale; i++)
            {
                float* p = _source + (i * _rowStride) + c;
                for (int j = 0; j < _scale; j++, p += _channels) sum = Simd.Add(sum, Simd.Load<V>(p));
            }
            Simd.Store(_target + c, _accumulate ? Simd.Add(Simd.Load<V>(_target + c), sum) : sum);
        }
    }
}
