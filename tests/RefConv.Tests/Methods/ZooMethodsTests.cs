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
    };

    /// <summary>One of each family: names up to the digits of their size.</summary>
    public static TheoryData<string> Families => [.. Zoo.Names.GroupBy(n => Regex.Match(n, @"^[a-z]+(_v\d)?").Value).Select(g => g.First())];

    [Theory]
    [MemberData(nameof(Families))]
    public void EveryMethodFindsLayersOrSaysWhyNot(string architecture)
    {
        using var plain = Zoo.Create(new ModelSpec(architecture) { Classes = 5, Width = architecture.StartsWith("sesr", StringComparison.Ordinal) ? 0.5 : 0.125, ImageSize = 32 }, new Initializer(Cpu, 3));
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
