namespace RefConv.Kernels;

internal sealed unsafe partial class CpuKernels
{
    public void Fill(BufferView y, double value, bool accumulate = false) => throw new NotSupportedException();

    public void Scale(BufferView x, BufferView y, double scale, bool accumulate) => throw new NotSupportedException();

    public void Add(BufferView a, BufferView b, BufferView y) => throw new NotSupportedException();

    public void Multiply(BufferView a, BufferView b, BufferView y, bool accumulate) => throw new NotSupportedException();

    public void AddChannels(in BroadcastGeometry g, BufferView x, BufferView b, BufferView y) => throw new NotSupportedException();

    public void MultiplyChannels(in BroadcastGeometry g, BufferView x, BufferView s, BufferView y, bool accumulate) => throw new NotSupportedException();

    public void MultiplyChannelsScaleGradient(in BroadcastGeometry g, BufferView x, BufferView dy, BufferView ds, bool accumulate) => throw new NotSupportedException();
}
