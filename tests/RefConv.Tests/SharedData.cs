namespace RefConv.Tests;

/// <summary>Real data sets that lie beside a checkout on some machines: a folder <c>shared/data</c> next to the repository, or $REFCONV_SHARED.</summary>
internal static class SharedData
{
    /// <summary>The folder, or null where there is none.</summary>
    public static string? Root { get; } = FindRoot();

    /// <summary>A file or folder in it.</summary>
    public static string Path(params string[] parts) =>
        System.IO.Path.Combine([Root ?? throw new InvalidOperationException("Mark the test [SharedDataFact]."), .. parts]);

    private static string? FindRoot()
    {
        if (Environment.GetEnvironmentVariable("REFCONV_SHARED") is { Length: > 0 } given) return Directory.Exists(given) ? given : null;
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            string candidate = System.IO.Path.Combine(folder.FullName, "shared", "data");
            if (Directory.Exists(candidate)) return candidate;
        }
        return null;
    }
}

/// <summary>A test that needs the real data sets; skipped, with the reason, where they are not.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class SharedDataFactAttribute : FactAttribute
{
    public SharedDataFactAttribute()
    {
        if (SharedData.Root is null) Skip = "needs the real data sets: no folder shared/data beside the repository, and REFCONV_SHARED does not name one";
    }
}

/// <summary>A test of something that only Linux and macOS have; skipped elsewhere, with the reason.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class UnixFactAttribute : FactAttribute
{
    /// <param name="file">A device file that the test needs, if any.</param>
    public UnixFactAttribute(string? file = null)
    {
        if (OperatingSystem.IsWindows()) Skip = "Windows has no such thing, or asks for rights to make it";
        else if (file is not null && !File.Exists(file)) Skip = $"this system has no {file}";
    }
}

/// <summary>A folder of its own for one test, gone afterwards.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    public TemporaryFolder() => Path = Directory.CreateTempSubdirectory("refconv-test-").FullName;

    public string Path { get; }

    public string File(string name) => System.IO.Path.Combine(Path, name);

    public string Write(string name, ReadOnlySpan<byte> bytes)
    {
        System.IO.File.WriteAllBytes(File(name), bytes);
        return File(name);
    }

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
