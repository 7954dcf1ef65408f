namespace RefConv.Bench.Cudnn;

/// <summary>cuBLAS's matrix product: the ceiling of arithmetic.</summary>
public sealed class CublasGemm : IDisposable
{
    /// <summary>cublasMath_t</summary>
    private const int Pedantic = 2, Tf32 = 3;

    private readonly nint _handle;

    /// <summary>Makes a handle whose work runs on a CUDA stream of the current context.</summary>
    /// <param name="stream">The stream.</param>
    /// <param name="tf32">Factors may be rounded to TF32; otherwise 32 bits throughout.</param>
    public CublasGemm(nint stream, bool tf32)
    {
        if (NativeLibraries.Missing() is { } reason) throw new DllNotFoundException(reason);
        Check(Native.cublasCreate_v2(out _handle));
        Check(Native.cublasSetStream_v2(_handle, stream));
        Check(Native.cublasSetMathMode(_handle, tf32 ? Tf32 : Pedantic));
    }

    /// <summary>c[n, n] = a[n, n] · b[n, n]</summary>
    public void Run(int n, nint a, nint b, nint c) => Check(Native.cublasSgemm_v2(_handle, 0, 0, n, n, n, 1f, a, n, b, n, 0f, c, n));

    /// <inheritdoc/>
    public void Dispose() => _ = Native.cublasDestroy_v2(_handle);

    private static void Check(int status)
    {
        if (status != 0) throw new InvalidOperationException($"cuBLAS failed with status {status}.");
    }
}
