using System.Reflection;
using System.Runtime.InteropServices;

namespace RefConv.Models.Imaging.Jpeg;

/// <summary>The few functions of libjpeg-turbo's TurboJPEG interface (2.0 and later) that decoding needs.</summary>
internal static unsafe partial class TurboJpeg
{
    private const string Library = "turbojpeg";

    /// <summary>Refuse a progressive file of more than 500 scans: a few kilobytes of them can keep a decoder busy for minutes.</summary>
    private const int LimitScans = 32768;

    private const int Failed = -1, Warning = 0;

    // Debian's package without development files has only the name with the number, so the plain name is not enough.
    private static readonly string[] Names = OperatingSystem.IsWindows()
        ? ["turbojpeg.dll", "libturbojpeg.dll", @"C:\libjpeg-turbo64\bin\turbojpeg.dll", @"C:\libjpeg-turbo-gcc64\bin\libturbojpeg.dll"]
        : OperatingSystem.IsMacOS()
            ? ["libturbojpeg.dylib", "libturbojpeg.0.dylib", "/opt/homebrew/opt/jpeg-turbo/lib/libturbojpeg.dylib", "/usr/local/opt/jpeg-turbo/lib/libturbojpeg.dylib", "/opt/libjpeg-turbo/lib/libturbojpeg.dylib"]
            : ["libturbojpeg.so.0", "libturbojpeg.so", "/opt/libjpeg-turbo/lib64/libturbojpeg.so.0"];

    private static readonly Lazy<nint> Handle = new(Find);

    static TurboJpeg() => NativeLibrary.SetDllImportResolver(typeof(TurboJpeg).Assembly, Resolve);

    /// <summary>How a pixel is written. The numbers are TurboJPEG's.</summary>
    public enum PixelFormat
    {
        Rgb = 0,
        Grey = 6,
        Cmyk = 11,
    }

    /// <summary>The library is installed.</summary>
    public static bool IsAvailable => Handle.Value != 0;

    private static string HowToInstall => OperatingSystem.IsWindows()
        ? "Install libjpeg-turbo (winget install libjpeg-turbo.libjpeg-turbo.VC) and put its folder bin on the PATH"
        : OperatingSystem.IsMacOS() ? "Install it: brew install jpeg-turbo" : "Install it: apt-get install libturbojpeg0 (Debian, Ubuntu) or dnf install turbojpeg (Fedora)";

    /// <summary>Decodes a file into rows of width × samples bytes.</summary>
    /// <param name="file">The file.</param>
    /// <param name="pixels">As large as width, height and format need: never more is written.</param>
    /// <param name="width">Columns the caller found in the header.</param>
    /// <param name="height">Rows.</param>
    /// <param name="format">How to write pixels.</param>
    /// <param name="fatal">There is no picture.</param>
    /// <returns>What the library complains about; null when nothing.</returns>
    public static string? Decompress(ReadOnlySpan<byte> file, Span<byte> pixels, int width, int height, PixelFormat format, out bool fatal)
    {
        RequireLibrary();
        nint decoder = tjInitDecompress();
        if (decoder == 0) throw new OutOfMemoryException("libjpeg-turbo has no memory for a decoder.");
        try
        {
            fixed (byte* source = file)
            fixed (byte* target = pixels)
            {
                CULong size = new((uint)file.Length);
                // Its own view of the size: told another one, it would scale the picture to fit. An odd chroma layout is an error here, not when decoding.
                int status = tjDecompressHeader3(decoder, source, size, out int w, out int h, out _, out _);
                fatal = w != width || h != height;
                if (fatal) return status == Failed ? Complaint(decoder) : $"it has {w}×{h} pixels, not {width}×{height}";
                status = tjDecompress2(decoder, source, size, target, width, 0, height, (int)format, LimitScans);
                fatal = status == Failed && tjGetErrorCode(decoder) != Warning;
                return status == Failed ? Complaint(decoder) : null;
            }
        }
        finally
        {
            _ = tjDestroy(decoder);
        }
    }

    private static void RequireLibrary()
    {
        if (!IsAvailable) throw new NotSupportedException($"JPEG files are decoded by libjpeg-turbo, which is not installed here. {HowToInstall}. Or give PNG files.");
    }

    private static nint Find()
    {
        foreach (string name in Names)
        {
            if (!NativeLibrary.TryLoad(name, out nint library)) continue;
            if (NativeLibrary.TryGetExport(library, nameof(tjGetErrorCode), out _)) return library; // 2.0 and later
            NativeLibrary.Free(library);
        }
        return 0;
    }

    private static nint Resolve(string name, Assembly assembly, DllImportSearchPath? path) => name == Library ? Handle.Value : 0;

    private static string Complaint(nint decoder) => Marshal.PtrToStringUTF8(tjGetErrorStr2(decoder)) ?? "the data makes no sense";

    [LibraryImport(Library)]
    private static partial nint tjInitDecompress();

    [LibraryImport(Library)]
    private static partial int tjDecompressHeader3(nint handle, byte* file, CULong size, out int width, out int height, out int subsampling, out int colorSpace);

    [LibraryImport(Library)]
    private static partial int tjDecompress2(nint handle, byte* file, CULong size, byte* target, int width, int pitch, int height, int pixelFormat, int flags);

    [LibraryImport(Library)]
    private static partial int tjDestroy(nint handle);

    [LibraryImport(Library)]
    private static partial int tjGetErrorCode(nint handle);

    [LibraryImport(Library)]
    private static partial nint tjGetErrorStr2(nint handle);
}
