using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace RefConv.IO;

/// <summary>
/// Elements of files as 32-bit floats, a vector at a time: rounded to nearest from wider types; true is 1. The memory need not be aligned.
/// </summary>
internal static unsafe class ElementReader
{
    private const uint ExponentMask = 0x7F80_0000;
    private const float TwoTo112 = 5192296858534827628530496329220096f;

    /// <summary>Converts <paramref name="to"/>.Length elements.</summary>
    public static void Read(SafeTensorsType type, byte* from, Span<float> to)
    {
        switch (type)
        {
            case SafeTensorsType.F32: new ReadOnlySpan<byte>(from, to.Length * sizeof(float)).CopyTo(MemoryMarshal.AsBytes(to)); break;
            case SafeTensorsType.F64: FromDouble((double*)from, to); break;
            case SafeTensorsType.F16: FromHalf((ushort*)from, to); break;
            case SafeTensorsType.BF16: FromBFloat16((ushort*)from, to); break;
            case SafeTensorsType.I8: FromSByte((sbyte*)from, to); break;
            case SafeTensorsType.U8: FromByte(from, to, uint.MaxValue); break;
            case SafeTensorsType.Bool: FromByte(from, to, 1); break;
            case SafeTensorsType.I16: FromInt16((short*)from, to); break;
            case SafeTensorsType.U16: FromUInt16((ushort*)from, to); break;
            case SafeTensorsType.I32: FromInt32((int*)from, to); break;
            case SafeTensorsType.U32: FromUInt32((uint*)from, to); break;
            case SafeTensorsType.I64: FromInt64((long*)from, to); break;
            default: FromUInt64((ulong*)from, to); break;
        }
    }

    /// <summary>No element is NaN or infinite: its exponent is not all ones.</summary>
    public static bool AllFinite(ReadOnlySpan<float> values)
    {
        fixed (float* first = values)
        {
            uint* bits = (uint*)first;
            int i = 0;
            // Four vectors at a time: a pass over gigabytes should wait for memory and for nothing else.
            if (Vector512.IsHardwareAccelerated)
            {
                var mask = Vector512.Create(ExponentMask);
                for (; i <= values.Length - 64; i += 64)
                {
                    var bad = Vector512.Equals(Vector512.Load(bits + i) & mask, mask) | Vector512.Equals(Vector512.Load(bits + i + 16) & mask, mask)
                        | Vector512.Equals(Vector512.Load(bits + i + 32) & mask, mask) | Vector512.Equals(Vector512.Load(bits + i + 48) & mask, mask);
                    if (bad != Vector512<uint>.Zero) return false;
                }
            }
            else
            {
                var mask = Vector256.Create(ExponentMask);
                for (; i <= values.Length - 32; i += 32)
                {
                    var bad = Vector256.Equals(Vector256.Load(bits + i) & mask, mask) | Vector256.Equals(Vector256.Load(bits + i + 8) & mask, mask)
                        | Vector256.Equals(Vector256.Load(bits + i + 16) & mask, mask) | Vector256.Equals(Vector256.Load(bits + i + 24) & mask, mask);
                    if (bad != Vector256<uint>.Zero) return false;
                }
            }
            for (; i < values.Length; i++)
            {
                if ((bits[i] & ExponentMask) == ExponentMask) return false;
            }
        }
        return true;
    }

    private static void FromDouble(double* from, Span<float> to)
    {
        int i = 0;
        for (; i <= to.Length - 8; i += 8) Vector256.Narrow(Vector256.Load(from + i), Vector256.Load(from + i + 4)).CopyTo(to[i..]);
        for (; i < to.Length; i++) to[i] = (float)from[i];
    }

    private static void FromBFloat16(ushort* from, Span<float> to)
    {
        int i = 0;
        for (; i <= to.Length - 16; i += 16)
        {
            var (low, high) = Vector256.Widen(Vector256.Load(from + i));
            (low << 16).AsSingle().CopyTo(to[i..]);
            (high << 16).AsSingle().CopyTo(to[(i + 8)..]);
        }
        for (; i < to.Length; i++) to[i] = BitConverter.UInt32BitsToSingle((uint)from[i] << 16);
    }

    private static void FromHalf(ushort* from, Span<float> to)
    {
        int i = 0;
        for (; i <= to.Length - 16; i += 16)
        {
            var (low, high) = Vector256.Widen(Vector256.Load(from + i));
            Half(low).CopyTo(to[i..]);
            Half(high).CopyTo(to[(i + 8)..]);
        }
        for (; i < to.Length; i++) to[i] = (float)BitConverter.UInt16BitsToHalf(from[i]);
    }

    /// <summary>
    /// Half to single: exponent and mantissa moved to their places make a float 2^112 times too small, also where the half is subnormal; a multiplication
    /// puts that right. What comes out at 65536 or above was infinite or NaN and gets the exponent of those.
    /// </summary>
    private static Vector256<float> Half(Vector256<uint> h)
    {
        var sign = (h & Vector256.Create(0x8000u)) << 16;
        var magnitude = ((h & Vector256.Create(0x7FFFu)) << 13).AsSingle() * Vector256.Create(TwoTo112);
        var infinite = Vector256.GreaterThanOrEqual(magnitude, Vector256.Create(65536f)).AsUInt32() & Vector256.Create(ExponentMask);
        return (magnitude.AsUInt32() | infinite | sign).AsSingle();
    }

    private static void FromSByte(sbyte* from, Span<float> to)
    {
        for (int i = 0; i < to.Length; i++) to[i] = from[i];
    }

    private static void FromByte(byte* from, Span<float> to, uint largest)
    {
        for (int i = 0; i < to.Length; i++) to[i] = Math.Min(from[i], largest);
    }

    private static void FromInt16(short* from, Span<float> to)
    {
        for (int i = 0; i < to.Length; i++) to[i] = from[i];
    }

    private static void FromUInt16(ushort* from, Span<float> to)
    {
        for (int i = 0; i < to.Length; i++) to[i] = from[i];
    }

    private static void FromInt32(int* from, Span<float> to)
    {
        int i = 0;
        for (; i <= to.Length - 8; i += 8) Vector256.ConvertToSingle(Vector256.Load(from + i)).CopyTo(to[i..]);
        for (; i < to.Length; i++) to[i] = from[i];
    }

    private static void FromUInt32(uint* from, Span<float> to)
    {
        for (int i = 0; i < to.Length; i++) to[i] = from[i];
    }

    // Not by way of double: that would round twice.
    private static void FromInt64(long* from, Span<float> to)
    {
        for (int i = 0; i < to.Length; i++) to[i] = from[i];
    }

    private static void FromUInt64(ulong* from, Span<float> to)
    {
        for (int i = 0; i < to.Length; i++) to[i] = from[i];
    }
}
