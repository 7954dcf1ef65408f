using System.Globalization;
using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;
using RefConv.Cases;

namespace RefConv.Bench.Kernels;

/// <summary>A rate out of the median time and what the row says one call takes: operations or bytes a nanosecond are 10⁹ a second.</summary>
/// <param name="name">Heading: GFLOP/s.</param>
/// <param name="legend">What is divided by what.</param>
/// <param name="amount">Operations or bytes of one call; 0 where counting makes no sense.</param>
internal sealed class RateColumn(string name, string legend, Func<KernelCase, double> amount) : IColumn
{
    public string Id => nameof(RateColumn) + name;

    public string ColumnName => name;

    public bool AlwaysShow => true;

    public ColumnCategory Category => ColumnCategory.Custom;

    public int PriorityInCategory => 0;

    public bool IsNumeric => true;

    public UnitType UnitType => UnitType.Dimensionless;

    public string Legend => legend;

    public string GetValue(Summary summary, BenchmarkCase benchmarkCase)
    {
        var row = (KernelCase)benchmarkCase.Parameters[nameof(KernelBenchmark.Row)];
        return summary[benchmarkCase]?.ResultStatistics is { } time && amount(row) > 0
            ? (amount(row) / time.Median).ToString("F1", CultureInfo.InvariantCulture)
            : "-";
    }

    public string GetValue(Summary summary, BenchmarkCase benchmarkCase, SummaryStyle style) => GetValue(summary, benchmarkCase);

    public bool IsAvailable(Summary summary) => true;

    public bool IsDefault(Summary summary, BenchmarkCase benchmarkCase) => false;
}
