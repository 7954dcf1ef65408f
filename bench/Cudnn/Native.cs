using System.Runtime.InteropServices;

namespace RefConv.Bench.Cudnn;

/// <summary>The functions of cuDNN's C API that convolutions need, with the numbers of its enumerations.</summary>
internal static partial class Native
{
    public const int Nchw = 0, Nhwc = 1, Float = 0, CrossCorrelation = 1;

    /// <summary>cudnnMathType_t: whether factors may be rounded to TF32.</summary>
    public const int DefaultMath = 0, FmaMath = 3;

    [LibraryImport(NativeLibraries.Cudnn)]
    public static partial nuint cudnnGetVersion();

    [LibraryImport(NativeLibraries.Cudnn)]
    public static partial nint cudnnGetErrorString(int status);

    [LibraryImport(NativeLibraries.Cudnn)]
    public static partial int cudnnCreate(out nint handle);

    [LibraryImport(NativeLibraries.Cudnn)]
    public static partial int cudnnDestroy(nint handle);

    [LibraryImport(NativeLibraries.Cudnn)]
    public static partial int cudnnSetStream(nint handle, nint stream);

    [LibraryImport(NativeLibraries.Cudnn)]
    public static partial int cudnnCreateTensorDescriptor(out nint descriptor);

    [LibraryImport(NativeLibraries.Cudnn)]
    public static partial int cudnnDestroyTensorDescriptor(nint descriptor);

    [LibraryImport(NativeLibraries.Cudnn)]
    public static partial int cudnnSetTensor4dDescriptor(nint descriptor, int format, int type, int n, int c, int h, int w);

    [LibraryImport(NativeLibraries.Cudnn)]
    public static partial int cudnnCreateFilterDescriptor(out nint descriptor);

    [LibraryImport(NativeLibraries.Cudnn)]
    public static partial int cudnnDestroyFilterDescriptor(nint descriptor);

    [LibraryImport(NativeLibraries.Cudnn)]
    public static partial int cudnnSetFilter4dDescriptor(nint descriptor, int type, int format, int k, int c, int h, int w);

    [LibraryImport(NativeLibraries.Cudnn)]
    public static partial int cudnnCreateConvolutionDescriptor(out nint descriptor);

    [LibraryImport(NativeLibraries.Cudnn)]
    public static partial int cudnnDestroyConvolutionDescriptor(nint descriptor);

    [LibraryImport(NativeLibraries.Cudnn)]
    public static partial int cudnnSetConvolution2dDescriptor(nint descriptor, int padH, int padW, int strideH, int strideW, int dilationH, int dilationW, int mode, int computeType);

    [LibraryImport(NativeLibraries.Cudnn)]
    public static partial int cudnnSetConvolutionGroupCount(nint descriptor, int groups);

    [LibraryImport(NativeLibraries.Cudnn)]
    public static partial int cudnnSetConvolutionMathType(nint descriptor, int mathType);

    [LibraryImport(NativeLibraries.Cudnn)]
    public static unsafe partial int cudnnFindConvolutionForwardAlgorithmEx(nint handle, nint xDescriptor, nint x, nint wDescriptor, nint w, nint convolution, nint yDescriptor, nint y,
        int asked, out int found, AlgorithmResult* results, nint workspace, nuint workspaceBytes);

    [LibraryImport(NativeLibraries.Cudnn)]
    public static unsafe partial int cudnnFindConvolutionBackwardDataAlgorithmEx(nint handle, nint wDescriptor, nint w, nint yDescriptor, nint dy, nint convolution, nint xDescriptor, nint dx,
        int asked, out int found, AlgorithmResult* results, nint workspace, nuint workspaceBytes);

    [LibraryImport(NativeLibraries.Cudnn)]
    public static unsafe partial int cudnnFindConvolutionBackwardFilterAlgorithmEx(nint handle, nint xDescriptor, nint x, nint yDescriptor, nint dy, nint convolution, nint wDescriptor, nint dw,
        int asked, out int found, AlgorithmResult* results, nint workspace, nuint workspaceBytes);

    [LibraryImport(NativeLibraries.Cudnn)]
    public static partial int cudnnConvolutionForward(nint handle, in float alpha, nint xDescriptor, nint x, nint wDescriptor, nint w, nint convolution, int algorithm,
        nint workspace, nuint workspaceBytes, in float beta, nint yDescriptor, nint y);

    [LibraryImport(NativeLibraries.Cudnn)]
    public static partial int cudnnConvolutionBackwardData(nint handle, in float alpha, nint wDescriptor, nint w, nint yDescriptor, nint dy, nint convolution, int algorithm,
        nint workspace, nuint workspaceBytes, in float beta, nint xDescriptor, nint dx);

    [LibraryImport(NativeLibraries.Cudnn)]
    public static partial int cudnnConvolutionBackwardFilter(nint handle, in float alpha, nint xDescriptor, nint x, nint yDescriptor, nint dy, nint convolution, int algorithm,
        nint workspace, nuint workspaceBytes, in float beta, nint wDescriptor, nint dw);

    /// <summary>cudnnConvolutionFwdAlgoPerf_t, and those of the other directions, which are laid out alike.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct AlgorithmResult
    {
        public int Algorithm;
        public int Status;
        public float Milliseconds;
        public nuint WorkspaceBytes;
        public int Determinism;
        public int MathType;
        public int Reserved0, Reserved1, Reserved2;
    }

    [LibraryImport(NativeLibraries.Cublas)]
    public static partial int cublasCreate_v2(out nint handle);

    [LibraryImport(NativeLibraries.Cublas)]
    public static partial int cublasDestroy_v2(nint handle);

    [LibraryImport(NativeLibraries.Cublas)]
    public static partial int cublasSetStream_v2(nint handle, nint stream);

    [LibraryImport(NativeLibraries.Cublas)]
    public static partial int cublasSetMathMode(nint handle, int mode);

    [LibraryImport(NativeLibraries.Cublas)]
    public static partial int cublasSgemm_v2(nint handle, int transposeA, int transposeB, int m, int n, int k, in float alpha, nint a, int lda, nint b, int ldb, in float beta, nint c, int ldc);
}
