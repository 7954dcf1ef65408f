using System.Globalization;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Models.Analysis;

namespace RefConv.Tests.Models;

/// <summary>
/// Collects what tests measured of each architecture for docs/results/models.md: when $REFCONV_MODELS_TABLE names a file, a line
/// "architecture, column, value" (with tabs between) is appended for each figure; otherwise nothing happens. tests/Golden/models_table.sh makes the table.
/// </summary>
internal static class ModelsTable
{
    private static readonly Lock s_lock = new();
    private static readonly string? s_file = Environment.GetEnvironmentVariable("REFCONV_MODELS_TABLE");

    /// <summary>Notes a figure. Where one architecture gets several in a column, the table shows the largest.</summary>
    public static void Record(string architecture, string column, double value)
    {
        if (string.IsNullOrEmpty(s_file)) return;
        lock (s_lock) File.AppendAllText(s_file, string.Create(CultureInfo.InvariantCulture, $"{architecture}\t{column}\t{value:R}\n"));
    }

    /// <summary>Notes the size of an architecture as it is used: on ImageNet, or in its variant for small images on CIFAR.</summary>
    public static void RecordCounts(string architecture, bool small)
    {
        if (string.IsNullOrEmpty(s_file)) return;
        var spec = new ModelSpec(architecture) { Classes = small ? 10 : 1000, ImageSize = small ? 32 : 224, SmallImages = small };
        using var device = new ShapeDevice();
        using var model = Zoo.Create(spec, Initializer.ForLoading(device));
        var summary = ModelSummary.Of(model);
        Record(architecture, "image", spec.ImageSize);
        Record(architecture, "parameters", summary.TrainParameters);
        Record(architecture, "multiply-adds", summary.TrainMacs);
    }
}
