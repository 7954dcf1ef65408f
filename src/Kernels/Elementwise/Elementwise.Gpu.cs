using ILGPU;

namespace RefConv.Kernels;

internal sealed partial class GpuKernels
{
    public void Fill(BufferView y, double value, bool accumulate = false) =>
        LaunchElements<FillArguments>(FillKernel, y.Length, new() { Y = V(y), Count = y.Length, Value = (float)value, Accumulate = accumulate ? 1 : 0 });

    internal struct FillArguments
    {
        public ArrayView<float> Y;
        public long Count;
        public float Value;
        public int Accumulate;
    }

    [GpuKernel(ElementGroup)]
    private static void FillKernel(FillArguments a)
    {
        for (long i = GpuThread.First; i < a.Count; i += GpuThread.Step) a.Y[i] = a.Accumulate != 0 ? a.Y[i] + a.Value : a.Value;
    }
}
