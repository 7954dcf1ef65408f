using System.Globalization;
using System.Numerics;

namespace RefConv.IO;

/// <summary>The instructions of protocols 0 and 1 that are written as text, a line each.</summary>
internal sealed unsafe partial class PickleReader
{
    private const int MostText = 1 << 24;

    private bool TextConstant(byte opcode)
    {
        switch (opcode)
        {
            case (byte)'I': WholeNumber(Line()); return true;
            case (byte)'L': WholeNumber(Line().TrimEnd('L')); return true;
            case (byte)'F': PushNumber(double.TryParse(Line(), NumberStyles.Float, CultureInfo.InvariantCulture, out double number) ? number : double.NaN); return true;
            case (byte)'S': Push(Quoted(Line(MostText))); return true;
            case (byte)'V': Push(Line(MostText)); return true;
            case (byte)'p': Keep(Place(Line())); return true;
            case (byte)'g': Recall(Place(Line())); return true;
            default: return false;
        }
    }

    /// <summary>01 and 00 are True and False; what no size or offset can be is kept by its bytes, as <see cref="PushLong"/> does.</summary>
    private void WholeNumber(string digits)
    {
        if (digits is "01" or "00") Push(digits == "01" ? s_true : s_false);
        else if (long.TryParse(digits, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long value)) PushNumber(value);
        else if (BigInteger.TryParse(digits, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var large)) Push(new PickleOpaque("number " + Convert.ToHexString(large.ToByteArray())));
        else throw Damaged("a number in it is none");
    }

    /// <summary>The text between quotes. Names of tensors have nothing in them that would be written with a backslash, so such text stays as it is.</summary>
    private string Quoted(string line) =>
        line.Length >= 2 && line[0] is '\'' or '"' && line[^1] == line[0] ? line[1..^1] : throw Damaged("a text in it has no quotes");

    private long Place(string line) => long.TryParse(line, NumberStyles.None, CultureInfo.InvariantCulture, out long place) ? place : throw Damaged("it keeps a value under what is no number");
}
