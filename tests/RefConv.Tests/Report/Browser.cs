using System.Diagnostics;

namespace RefConv.Tests.Report;

/// <summary>Chromium without a window, where this machine has it.</summary>
internal static class Browser
{
    public static string? Path { get; } = Find();

    /// <summary>Opens a page, runs its scripts, and gives the document as it then is, and what the console said.</summary>
    public static (string Document, string Console) Open(string page, params string[] more) => Run(["--dump-dom", .. more, new Uri(page).AbsoluteUri]);

    /// <summary>A picture of a page.</summary>
    public static string Picture(string page, string file, int width, int height, bool dark) =>
        Run(["--hide-scrollbars", $"--window-size={width},{height}", $"--blink-settings=preferredColorScheme={(dark ? 0 : 1)}", $"--screenshot={file}", new Uri(page).AbsoluteUri]).Console;

    private static (string Out, string Console) Run(string[] arguments)
    {
        using var profile = new TemporaryFolder();
        var start = new ProcessStartInfo(Path!,
        [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
            $"--user-data-dir={profile.Path}", "--enable-logging=stderr", .. arguments,
        ])
        { RedirectStandardOutput = true, RedirectStandardError = true };
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        if (!process.WaitForExit(60_000))
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException("Chromium did not end within a minute.");
        }
        return (output, string.Join('\n', errors.Result.Split('\n').Where(l => l.Contains("CONSOLE", StringComparison.Ordinal))));
    }

    private static string? Find()
    {
        string[] names = ["chromium", "chromium-browser", "google-chrome"];
        return (Environment.GetEnvironmentVariable("PATH") ?? "").Split(System.IO.Path.PathSeparator).SelectMany(f => names.Select(n => System.IO.Path.Combine(f, n))).FirstOrDefault(File.Exists);
    }
}

/// <summary>A test that needs a browser; skipped, with the reason, where there is none.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class BrowserFactAttribute : FactAttribute
{
    public BrowserFactAttribute()
    {
        if (Browser.Path is null) Skip = "needs Chromium: `apt-get install chromium`";
    }
}
