using System.ComponentModel;
using System.Diagnostics;
using System.Text.Json.Nodes;

namespace RefConv.Tests.Onnx;

/// <summary>ONNX Runtime (a Node package) and ONNX's checker (a Python package), where this machine has them.</summary>
internal static class OnnxPeers
{
    private static readonly Lazy<string?> s_checker = new(FindChecker);

    /// <summary>The folder node_modules that holds onnxruntime-node; null without it, or without Node.</summary>
    public static string? NodeModules { get; } = FindNodeModules();

    /// <summary>A Python that has the package onnx; or null.</summary>
    public static string? Python => s_checker.Value;

    /// <summary>Puts questions to ONNX Runtime: see onnx_run.js.</summary>
    public static List<JsonObject> Run(IEnumerable<JsonObject> jobs)
    {
        var start = new ProcessStartInfo("node", [Script("onnx_run.js")]);
        start.Environment["NODE_PATH"] = NodeModules;
        return Ask(start, jobs.Select(j => j.ToJsonString()));
    }

    /// <summary>Has files checked: see onnx_check.py.</summary>
    public static List<JsonObject> Check(IEnumerable<string> files) => Ask(new ProcessStartInfo(Python!, [Script("onnx_check.py")]), files);

    private static string Script(string name) => Path.Combine(AppContext.BaseDirectory, "Onnx", name);

    private static List<JsonObject> Ask(ProcessStartInfo start, IEnumerable<string> questions)
    {
        (start.RedirectStandardInput, start.RedirectStandardOutput) = (true, true);
        using var process = Process.Start(start)!;
        List<JsonObject> answers = [];
        foreach (string question in questions)
        {
            process.StandardInput.WriteLine(question);
            process.StandardInput.Flush();
            answers.Add(JsonNode.Parse(process.StandardOutput.ReadLine() ?? throw new InvalidOperationException($"{start.FileName} ended after {answers.Count} answers."))!.AsObject());
        }
        process.StandardInput.Close();
        process.WaitForExit();
        return answers;
    }

    private static string? FindNodeModules()
    {
        if (!OnPath("node")) return null;
        string?[] places =
        [
            Environment.GetEnvironmentVariable("REFCONV_NODE_MODULES"),
            .. (Environment.GetEnvironmentVariable("NODE_PATH") ?? "").Split(Path.PathSeparator),
            // Where .ci/run puts it.
            Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache", "refconv", "node_modules"),
        ];
        return places.FirstOrDefault(p => !string.IsNullOrEmpty(p) && Directory.Exists(Path.Combine(p, "onnxruntime-node")));
    }

    private static bool OnPath(string program) => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
        .Any(folder => File.Exists(Path.Combine(folder, program)) || File.Exists(Path.Combine(folder, program + ".exe")));

    private static string? FindChecker()
    {
        // Debian's package belongs to Debian's Python, which need not be the first on the path.
        foreach (string python in new[] { "/usr/bin/python3", "python3" })
        {
            try
            {
                using var process = Process.Start(new ProcessStartInfo(python, ["-c", "import importlib.util, sys; sys.exit(importlib.util.find_spec('onnx') is None)"]))!;
                process.WaitForExit();
                if (process.ExitCode == 0) return python;
            }
            catch (Win32Exception)
            {
                // There is no such program.
            }
        }
        return null;
    }
}

/// <summary>A test that needs ONNX Runtime; skipped, with the reason, where it is not.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class OnnxRuntimeFactAttribute : FactAttribute
{
    public OnnxRuntimeFactAttribute()
    {
        if (OnnxPeers.NodeModules is null)
            Skip = "needs Node and its package onnxruntime-node: `npm install --ignore-scripts onnxruntime-node`, and its folder node_modules in REFCONV_NODE_MODULES or NODE_PATH";
    }
}

/// <summary>A test that needs ONNX's checker; skipped, with the reason, where it is not.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class OnnxCheckerFactAttribute : FactAttribute
{
    public OnnxCheckerFactAttribute()
    {
        if (OnnxPeers.Python is null) Skip = "needs ONNX's checker: `apt-get install python3-onnx`, or `pip install onnx`";
    }
}
