using System.Text.RegularExpressions;
using RefConv.Layers;
using RefConv.Models;

namespace RefConv.Tests.Methods;

/// <summary>Every method on one architecture of every family of the zoo, at its own choice of layers: it finds some, or says why not and what to do.</summary>
public sealed class ZooMethodsTests : DeviceTest
{
    /// <summary>What cannot be, with a word of the reason. A pair that is not here must work, and one that is must be refused.</summary>
    private static readonly Dictionary<string, string> s_refused = new()
    {
        // Neither biases nor norms: nowhere to put a shift.
        ["sesr_m3_x2 acb"] = "neither a bias nor a batch norm",
        ["sesr_m3_x2 repvgg"] = "neither a bias nor a batch norm",
        ["sesr_m3_x2 dbb"] = "neither a bias nor a batch norm",
        ["densenet121 acb"] = "neither a bias nor a batch norm",
        ["densenet121 dbb"] = "neither a bias nor a batch norm",
        // Without a norm behind it, growing would change what the network gives in training.
        ["sesr_m3_x2 dyrep"] = "no batch norm behind it",
        ["repvgg_a0 dyrep"] = "no batch norm behind it",
        ["convnext_tiny dyrep"] = "no batch norm behind it",
        ["fasternet_t0 dyrep"] = "no batch norm behind it",
        // Their only kernels of 2 to 6 that could hold a shift are even.
        ["convnext_tiny dbb"] = "an even kernel",
        ["fasternet_t0 dbb"] = "an even kernel",
        // All its convolutions behind the stem have groups.
        ["shufflenet_v1_g3_x0_5 drconv"] = "dense convolutions",
    };

    /// <summary>One of each family: names up to the digits of their size.</summary>
    public static TheoryData<string> Families => [.. Zoo.Names.GroupBy(n => Regex.Match(n, @"^[a-z]+(_v\d)?").Value).Select(g => g.First())];

    [Theory]
    [MemberData(nameof(Families))]
    public void EveryMethodFindsLayersOrSaysWhyNot(string architecture)
    {
        using var plain = Zoo.Create(new ModelSpec(architecture) { Classes = 5, Width = architecture.StartsWith("sesr", StringComparison.Ordinal) ? 0.5 : 0.125, ImageSize = 32, SmallImages = architecture.StartsWith("vgg", StringComparison.Ordinal) }, new Initializer(Cpu, 3));
        List<string> wrong = [];
        foreach (string method in Reparameterizations.Names)
        {
            string pair = $"{architecture} {method}";
            string? reason = s_refused.GetValueOrDefault(pair);
            try
            {
                using var model = plain.Expand(Reparameterizations.Create(method));
                if (reason != null) wrong.Add($"{pair} is not refused any more: take it off the list");
                if (model.Forms[^1].Layers.Count == 0) wrong.Add($"{pair} changed nothing");
            }
            catch (ArgumentException e) when (reason == null || !e.Message.Contains(reason, StringComparison.Ordinal) || !Regex.IsMatch(e.Message, "Use|Give|Choose|Leave"))
            {
                wrong.Add($"{pair}: {e.Message}");
            }
            catch (ArgumentException)
            {
                // As the list says, and with what to do instead.
            }
        }
        Assert.True(wrong.Count == 0, string.Join("\n", wrong));
    }
}
