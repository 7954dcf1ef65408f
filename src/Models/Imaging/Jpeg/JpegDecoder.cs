namespace RefConv.Models.Imaging.Jpeg;

/// <summary>Decodes JPEG with libjpeg-turbo: the exact inverse transform and smooth chroma, as Pillow and libjpeg do unless told otherwise.</summary>
internal static class JpegDecoder
{
    /// <summary>The picture, grey or colour.</summary>
    /// <param name="file">The file.</param>
    /// <param name="header">What its markers say.</param>
    /// <exception cref="ImageFormatException">Damaged.</exception>
    /// <exception cref="NotSupportedException">libjpeg-turbo is not installed; the message says how to install it.</exception>
    public static Image Decode(ReadOnlySpan<byte> file, JpegHeader header)
    {
        var format = header.Components switch { 1 => TurboJpeg.PixelFormat.Grey, 3 => TurboJpeg.PixelFormat.Rgb, _ => TurboJpeg.PixelFormat.Cmyk };
        long samples = (long)header.Width * header.Height * header.Components;
        if (samples > Array.MaxLength) throw new ImageFormatException($"the picture of {header.Width:N0}×{header.Height:N0} pixels does not fit into one array. Make it smaller.");
        CheckPromise(header);
        byte[] pixels = GC.AllocateUninitializedArray<byte>((int)samples);
        string? problem = TurboJpeg.Decompress(file, pixels, header.Width, header.Height, format, out bool fatal);
        if (fatal) throw JpegHeader.Damaged($"{Sentence(problem)} (says libjpeg-turbo)");
        // As Pillow does: small faults inside the data are lived with, a picture of which the end is missing is not.
        if (problem != null && !header.HasEnd) throw JpegHeader.Damaged("it is cut off");
        return header.Components == 4 ? FromCmyk(pixels, header.Width, header.Height) : new Image(header.Width, header.Height, header.Components, pixels);
    }

    /// <summary>
    /// The size against the bytes of the picture, before memory is taken: in Huffman's codes every block of 8×8 pixels is at least a bit. Arithmetic codes have no
    /// such least, a plain surface of any size is a few bytes: there the limit on pixels is all.
    /// </summary>
    private static void CheckPromise(JpegHeader header)
    {
        long blocks = ((header.Width + 7L) / 8) * ((header.Height + 7L) / 8);
        if (!header.Arithmetic && blocks > 8 * header.DataBytes)
            throw JpegHeader.Damaged($"{header.Width:N0}×{header.Height:N0} pixels cannot come out of {header.DataBytes:N0} bytes of data");
    }

    /// <summary>
    /// Colour from four inks by the plain formula (1 − ink)·(1 − black), as Pillow does without a colour profile. Like everybody's, the file holds 255 − ink.
    /// </summary>
    private static Image FromCmyk(byte[] inks, int width, int height)
    {
        byte[] pixels = GC.AllocateUninitializedArray<byte>(width * height * 3);
        for (int from = 0, to = 0; from < inks.Length; from += 4, to += 3)
        {
            int light = inks[from + 3];
            for (int c = 0; c < 3; c++)
            {
                // light − ink·light / 255, where the product is divided and rounded the way Pillow's MULDIV255 does it.
                int product = ((255 - inks[from + c]) * light) + 128;
                pixels[to + c] = (byte)Math.Max(0, light - (((product >> 8) + product) >> 8));
            }
        }
        return new Image(width, height, 3, pixels);
    }

    private static string Sentence(string? text)
    {
        string trimmed = (text ?? "").Trim().TrimEnd('.');
        int colon = trimmed.IndexOf("(): ", StringComparison.Ordinal); // "tjDecompress2(): …"
        return colon < 0 ? trimmed : trimmed[(colon + 4)..];
    }
}
