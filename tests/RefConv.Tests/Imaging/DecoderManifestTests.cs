using System.Security.Cryptography;
using System.Text.Json;
using RefConv.Models.Imaging;

namespace RefConv.Tests.Imaging;

/// <summary>All cases of the shared pictures behave as their manifest says; the reference is Pillow.</summary>
public sealed class DecoderManifestTests
{
    private static readonly ImageDecoder AsStored = new() { ApplyOrientation = false };

    [SharedDataFact]
    public void PngCases()
    {
        var (decoded, refused) = RunAll("png");
        Assert.True(decoded >= 91 && refused >= 9, $"{decoded} PNG files were decoded and {refused} refused: the manifest has 91 and 9");
    }

    [TurboJpegFact(needsSharedData: true)]
    public void JpegCases()
    {
        var (decoded, refused) = RunAll("jpeg");
        Assert.True(decoded >= 36 && refused >= 3, $"{decoded} JPEG files were decoded and {refused} refused: the manifest has 36 and 3");
    }

    private static (int Decoded, int Refused) RunAll(string format)
    {
        using var manifest = JsonDocument.Parse(File.ReadAllBytes(SharedData.Path("images", "manifest.json")));
        int decoded = 0, refused = 0;
        List<string> wrong = [];
        foreach (var entry in manifest.RootElement.GetProperty("files").EnumerateArray())
        {
            if (entry.GetProperty("format").GetString() != format) continue;
            string name = entry.GetProperty("file").GetString()!, expect = entry.GetProperty("expect").GetString()!;
            byte[] file = File.ReadAllBytes(SharedData.Path(["images", .. name.Split('/')]));
            Image? image = null;
            string? problem = null;
            try
            {
                image = AsStored.Decode(file);
                decoded++;
            }
            catch (ImageFormatException e)
            {
                refused++;
                problem = e.Message;
                if (!e.Message.EndsWith('.') || e.Message.Length < 30) wrong.Add($"{name}: no sentence: {e.Message}");
            }
            bool optional = expect == "either" || entry.TryGetProperty("optional", out _);
            if (image == null && !optional && expect == "decode") wrong.Add($"{name}: refused: {problem}");
            if (image != null && expect == "error") wrong.Add($"{name}: decoded as {image}");
            if (image != null && entry.TryGetProperty("mean_rgb", out _) && Compare(entry, file, image) is { } difference) wrong.Add($"{name}: {difference}");
        }
        Assert.True(wrong.Count == 0, string.Join('\n', wrong));
        return (decoded, refused);
    }

    /// <summary>What differs from the reference, or null.</summary>
    private static string? Compare(JsonElement entry, byte[] file, Image image)
    {
        var info = AsStored.ReadInfo(file);
        var size = (entry.GetProperty("width").GetInt32(), entry.GetProperty("height").GetInt32());
        if (size != (image.Width, image.Height) || size != (info.Width, info.Height)) return $"{image} and {info} instead of {size}";
        int channels = entry.GetProperty("channels").GetInt32();
        if (channels != info.Channels) return $"{info.Channels} channels instead of {channels}";
        byte[] rgb = image.WithChannels(3).Pixels;
        if (entry.GetProperty("rgb_exact").GetBoolean())
        {
            if (Hash(rgb) != entry.GetProperty("rgb_sha256").GetString()) return "other colours";
            if (!entry.TryGetProperty("rgba_sha256", out var rgba) || rgba.GetString() is not { } expected) return null;
            return Hash(WithAlpha(image)) == expected ? null : "another alpha channel";
        }
        // CMYK colours depend on the conversion; ours is the reference's. Where chroma is stored at half size decoders differ by some levels.
        for (int c = 0; c < 3; c++)
        {
            double mean = 0;
            for (int i = c; i < rgb.Length; i += 3) mean += rgb[i];
            mean /= rgb.Length / 3;
            if (Math.Abs(mean - entry.GetProperty("mean_rgb")[c].GetDouble()) > 1) return $"mean of channel {c} is {mean}";
        }
        foreach (var sample in entry.GetProperty("samples_x_y_r_g_b").EnumerateArray())
        {
            int[] s = [.. sample.EnumerateArray().Select(v => v.GetInt32())];
            for (int c = 0; c < 3; c++)
            {
                int value = rgb[(((s[1] * image.Width) + s[0]) * 3) + c];
                if (Math.Abs(value - s[2 + c]) > 8) return $"pixel ({s[0]}, {s[1]}) has {value} in channel {c} instead of {s[2 + c]}";
            }
        }
        return null;
    }

    private static byte[] WithAlpha(Image image)
    {
        byte[] rgb = image.WithChannels(3).Pixels, all = new byte[image.Width * image.Height * 4];
        bool alpha = image.Channels is 2 or 4;
        for (int i = 0; i < image.Width * image.Height; i++)
        {
            rgb.AsSpan(3 * i, 3).CopyTo(all.AsSpan(4 * i));
            all[(4 * i) + 3] = alpha ? image.Pixels[((i + 1) * image.Channels) - 1] : (byte)255;
        }
        return all;
    }

    private static string Hash(byte[] bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));
}
