using System.CommandLine;
using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Exporters;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using Perfolizer.Horology;
using RefConv.Cases;

namespace RefConv.Bench.Kernels;

/// <summary>Times the kernels on the rows of the case tables.</summary>
internal static class Program
{
    /// <summary>A conformance row is worth timing when one call does so much work that the call itself does not count.</summary>
    private const double WorthFlops = 1e6, WorthBytes = 64 * 1024;

    private static int Main(string[] args)
    {
        Option<string[]> only = new("--only")
        {
            Description = "Time rows whose name (kernel, then shape) contains this text. May be given several times: all must be contained.",
            DefaultValueFactory = _ => [],
            HelpName = "SUBSTRING",
        };
        Option<int> threads = new("--threads") { Description = "Threads; 0 for all cores.", HelpName = "N" };
        Option<bool> all = new("--all") { Description = "Also the small rows, which time the call more than the kernel." };
        Option<bool> list = new("--list") { Description = "Print the rows and time nothing." };
        var root = new RootCommand("Times every kernel on the rows of the case tables that the conformance tests check.") { only, threads, all, list };
        root.SetAction(parsed =>
        {
            string[] words = parsed.GetValue(only)!;
            KernelCase[] rows = [.. CaseTables.All.Where(c => parsed.GetValue(all) || IsWorthTiming(c)).Where(c => words.All(w => c.ToString().Contains(w, StringComparison.OrdinalIgnoreCase)))];
            if (rows.Length == 0)
            {
                Console.Error.WriteLine($"No row contains '{string.Join("' and '", words)}'. See --list{(parsed.GetValue(all) ? "" : ", and --all for the small ones")}.");
                return 2;
            }
            if (parsed.GetValue(list))
            {
                foreach (var row in rows) Console.WriteLine(row);
                return 0;
            }
            return Time(rows, parsed.GetValue(threads));
        });
        return root.Parse(args).Invoke();
    }

    private static bool IsWorthTiming(KernelCase row) => row.BenchmarkOnly || row.Flops >= WorthFlops || row.Bytes >= WorthBytes;

    private static int Time(KernelCase[] rows, int threads)
    {
        (KernelBenchmark.Selected, KernelBenchmark.Threads) = (rows, threads);
        // In this process: nothing is generated, restored or built, so it runs wherever the program itself runs.
        var job = Job.Default.WithToolchain(InProcessEmitToolchain.Instance)
            .WithWarmupCount(3).WithIterationCount(12).WithIterationTime(TimeInterval.FromMilliseconds(100)).WithId("in process");
        var config = ManualConfig.CreateEmpty()
            .AddJob(job)
            .AddLogger(ConsoleLogger.Default)
            .AddExporter(MarkdownExporter.GitHub)
            .AddColumnProvider(DefaultColumnProviders.Params)
            .AddColumn(StatisticColumn.Median, StatisticColumn.Min, StatisticColumn.Error)
            .AddColumn(new RateColumn("GFLOP/s", "10⁹ floating-point operations a second, multiply and add counted as two, from the median", r => r.Flops))
            .AddColumn(new RateColumn("GB/s", "10⁹ bytes a second of operands that must be read and written at least, from the median", r => r.Bytes))
            .WithSummaryStyle(SummaryStyle.Default.WithMaxParameterColumnWidth(120))
            .WithOptions(ConfigOptions.DisableLogFile);
        var summary = BenchmarkRunner.Run<KernelBenchmark>(config);
        return summary.HasCriticalValidationErrors || summary.Reports.Length != rows.Length || summary.Reports.Any(r => !r.Success) ? 1 : 0;
    }
}
