using System.Runtime.InteropServices;
using RefConv.Kernels;

namespace RefConv.Bench.Cudnn;

/// <summary>Which of the three computations of a convolution.</summary>
public enum CudnnDirection
{
    /// <summary>y = x * w</summary>
    Forward,

    /// <summary>dx</summary>
    InputGradient,

    /// <summary>dw</summary>
    WeightGradient,
}

/// <summary>A cuDNN handle on somebody's stream.</summary>
public sealed class CudnnHandle : IDisposable
{
    /// <summary>Makes a handle whose work runs on a CUDA stream of the current context.</summary>
    public CudnnHandle(nint stream)
    {
        if (NativeLibraries.Missing() is { } reason) throw new DllNotFoundException(reason);
        Check(Native.cudnnCreate(out nint handle), "cudnnCreate");
        Handle = handle;
        Check(Native.cudnnSetStream(handle, stream), "cudnnSetStream");
    }

    /// <summary>For instance 91002: 9.10.2.</summary>
    public static long Version => (long)Native.cudnnGetVersion();

    internal nint Handle { get; }

    /// <inheritdoc/>
    public void Dispose() => _ = Native.cudnnDestroy(Handle);

    internal static void Check(int status, string function)
    {
        if (status != 0) throw new InvalidOperationException($"{function} failed with status {status}: {Marshal.PtrToStringUTF8(Native.cudnnGetErrorString(status))}.");
    }
}

/// <summary>
/// One direction of a convolution as cuDNN runs it best: the fastest of the algorithms that it measured (cudnnFind…Ex) within the workspace, in one layout and at one
/// precision. The pads must be the same on opposite sides.
/// </summary>
public sealed unsafe class CudnnConvolution : IDisposable
{
    private readonly CudnnHandle _handle;
    private readonly CudnnDirection _direction;
    private readonly nint _x, _w, _y, _convolution, _workspace;
    private readonly int _algorithm;

    /// <summary>Describes the convolution and has cuDNN measure its algorithms; what is in the operands is overwritten by that.</summary>
    /// <param name="handle">Where it runs.</param>
    /// <param name="g">Shape.</param>
    /// <param name="direction">What is computed.</param>
    /// <param name="channelsLast">NHWC instead of NCHW. The operands' numbers mean something else then; no time depends on them.</param>
    /// <param name="tf32">Factors may be rounded to TF32.</param>
    /// <param name="operands">Device addresses of x (or dx), w (or dw) and y (or dy).</param>
    /// <param name="workspace">Device memory that an algorithm may use.</param>
    /// <param name="workspaceBytes">How much.</param>
    /// <exception cref="NotSupportedException">No algorithm of cuDNN takes it.</exception>
    public CudnnConvolution(CudnnHandle handle, in Conv2dGeometry g, CudnnDirection direction, bool channelsLast, bool tf32, (nint X, nint W, nint Y) operands, nint workspace, long workspaceBytes)
    {
        if (g.PadTop != g.PadBottom || g.PadLeft != g.PadRight) throw new NotSupportedException($"cuDNN pads opposite sides alike; {g} does not.");
        _handle = handle;
        _direction = direction;
        _workspace = workspace;
        int format = channelsLast ? Native.Nhwc : Native.Nchw;
        Check(Native.cudnnCreateTensorDescriptor(out _x));
        Check(Native.cudnnSetTensor4dDescriptor(_x, format, Native.Float, g.N, g.C, g.H, g.W));
        Check(Native.cudnnCreateTensorDescriptor(out _y));
        Check(Native.cudnnSetTensor4dDescriptor(_y, format, Native.Float, g.N, g.K, g.P, g.Q));
        Check(Native.cudnnCreateFilterDescriptor(out _w));
        Check(Native.cudnnSetFilter4dDescriptor(_w, Native.Float, format, g.K, g.GroupC, g.R, g.S));
        Check(Native.cudnnCreateConvolutionDescriptor(out _convolution));
        Check(Native.cudnnSetConvolution2dDescriptor(_convolution, g.PadTop, g.PadLeft, g.StrideH, g.StrideW, g.DilationH, g.DilationW, Native.CrossCorrelation, Native.Float));
        Check(Native.cudnnSetConvolutionGroupCount(_convolution, g.Groups));
        Check(Native.cudnnSetConvolutionMathType(_convolution, tf32 ? Native.DefaultMath : Native.FmaMath));

        var results = stackalloc Native.AlgorithmResult[16];
        int found = 0;
        int status = direction switch
        {
            CudnnDirection.Forward => Native.cudnnFindConvolutionForwardAlgorithmEx(handle.Handle, _x, operands.X, _w, operands.W, _convolution, _y, operands.Y, 16, out found, results, workspace, (nuint)workspaceBytes),
            CudnnDirection.InputGradient => Native.cudnnFindConvolutionBackwardDataAlgorithmEx(handle.Handle, _w, operands.W, _y, operands.Y, _convolution, _x, operands.X, 16, out found, results, workspace, (nuint)workspaceBytes),
            _ => Native.cudnnFindConvolutionBackwardFilterAlgorithmEx(handle.Handle, _x, operands.X, _y, operands.Y, _convolution, _w, operands.W, 16, out found, results, workspace, (nuint)workspaceBytes),
        };
        // Sorted by time; those that did not run come last. An algorithm that rounds more than was allowed does not count.
        int best = -1;
        for (int i = 0; i < found && best < 0; i++)
        {
            if (results[i].Status == 0 && (tf32 || results[i].MathType is 0 or Native.FmaMath)) best = i;
        }
        if (status != 0 || best < 0)
        {
            Dispose();
            throw new NotSupportedException($"cuDNN has no algorithm for {g} {direction} {(channelsLast ? "NHWC" : "NCHW")}{(tf32 ? " tf32" : "")} (status {status}).");
        }
        _algorithm = results[best].Algorithm;
        WorkspaceBytes = (long)results[best].WorkspaceBytes;
        // "Default" math may round to TF32 on its own: without TF32 it is forbidden, whatever was measured.
        Check(Native.cudnnSetConvolutionMathType(_convolution, tf32 ? results[best].MathType : Native.FmaMath));
    }

    /// <summary>The algorithm that it found fastest, by cuDNN's number for this direction.</summary>
    public int Algorithm => _algorithm;

    /// <summary>Workspace that it needs.</summary>
    public long WorkspaceBytes { get; }

    /// <summary>Asks the device to compute it.</summary>
    public void Run((nint X, nint W, nint Y) operands)
    {
        const float one = 1, zero = 0;
        CudnnHandle.Check(_direction switch
        {
            CudnnDirection.Forward => Native.cudnnConvolutionForward(_handle.Handle, one, _x, operands.X, _w, operands.W, _convolution, _algorithm, _workspace, (nuint)WorkspaceBytes, zero, _y, operands.Y),
            CudnnDirection.InputGradient => Native.cudnnConvolutionBackwardData(_handle.Handle, one, _w, operands.W, _y, operands.Y, _convolution, _algorithm, _workspace, (nuint)WorkspaceBytes, zero, _x, operands.X),
            _ => Native.cudnnConvolutionBackwardFilter(_handle.Handle, one, _x, operands.X, _y, operands.Y, _convolution, _algorithm, _workspace, (nuint)WorkspaceBytes, zero, _w, operands.W),
        }, $"cuDNN's {_direction}");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_x != 0) _ = Native.cudnnDestroyTensorDescriptor(_x);
        if (_y != 0) _ = Native.cudnnDestroyTensorDescriptor(_y);
        if (_w != 0) _ = Native.cudnnDestroyFilterDescriptor(_w);
        if (_convolution != 0) _ = Native.cudnnDestroyConvolutionDescriptor(_convolution);
    }

    private static void Check(int status) => CudnnHandle.Check(status, "describing a convolution to cuDNN");
}
