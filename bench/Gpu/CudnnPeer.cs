using RefConv.Bench.Cudnn;
using RefConv.Kernels;

namespace RefConv.Bench.Gpu;

/// <summary>cuDNN at its best: the faster of NCHW and NHWC, each with the fastest of its algorithms.</summary>
internal sealed class CudnnPeer(CudnnHandle handle, nint workspace, long workspaceBytes)
{
    /// <summary>The time, and layout, algorithm and workspace that gave it; null where cuDNN takes neither layout.</summary>
    public (double Milliseconds, string How)? Best(in Conv2dGeometry g, CudnnDirection direction, bool tf32, OperandSets operands, GpuTimer timer)
    {
        (double Milliseconds, string How)? best = null;
        foreach (bool channelsLast in (bool[])[false, true])
        {
            (nint, nint, nint) Addresses(int i) => (timer.Inspector.Address(operands[i][0]), timer.Inspector.Address(operands[i][1]), timer.Inspector.Address(operands[i][2]));
            try
            {
                using var convolution = new CudnnConvolution(handle, g, direction, channelsLast, tf32, Addresses(0), workspace, workspaceBytes);
                double ms = timer.Milliseconds(i => convolution.Run(Addresses(i)));
                if (best == null || ms < best.Value.Milliseconds) best = (ms, $"{(channelsLast ? "NHWC" : "NCHW")} algorithm {convolution.Algorithm}, {convolution.WorkspaceBytes / 1e6:0.#} MB workspace");
            }
            catch (Exception e) when (e is NotSupportedException or InvalidOperationException)
            {
                // One layout is enough.
            }
        }
        return best;
    }
}
