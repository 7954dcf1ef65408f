using System.Reflection;
using ILGPU;
using ILGPU.Backends.PTX;
using ILGPU.IR;
using ILGPU.IR.Intrinsics;
using ILGPU.IR.Values;

namespace RefConv.Kernels;

/// <summary>
/// Instructions of PTX that ILGPU does not know: matrix products of a warp (tensor cores), rounding to their formats, and copies from memory to shared memory that
/// do not pass through registers. Each has a meaning in C#, which the simulation runs.
/// </summary>
internal static unsafe partial class TensorCore
{
    /// <summary>Rounded to TF32, 10 bits of mantissa, ties away from zero; the rest of the bits are zero.</summary>
    [IntrinsicImplementation]
    public static uint Tf32(float v) => (BitConverter.SingleToUInt32Bits(v) + 0x1000) & 0xFFFFE000;

    /// <summary>Two halves, the first in the lower bits.</summary>
    [IntrinsicImplementation]
    public static uint Float16Pair(float low, float high) =>
        BitConverter.HalfToUInt16Bits((System.Half)low) | ((uint)BitConverter.HalfToUInt16Bits((System.Half)high) << 16);

    /// <summary>Two bfloat16, the first in the lower bits; ties to even.</summary>
    [IntrinsicImplementation]
    public static uint BFloat16Pair(float low, float high) => BFloat16Bits(low) | (BFloat16Bits(high) << 16);

    /// <summary>
    /// Adds to a 16×8 result, of which each thread of a warp has two neighbouring columns in two rows 8 apart, the product of 16×8 and 8×8 factors. The last six
    /// arguments are nothing to a GPU: they tell the simulation where the whole factors lie in shared memory.
    /// </summary>
    [IntrinsicImplementation]
    public static Float4 MultiplyTf32(Float4 c, uint a0, uint a1, uint a2, uint a3, uint b0, uint b1, nint a, nint b, int rowA, int termA, int columnB, int termB)
    {
        int group = Warp.LaneIdx >> 2, lane = Warp.LaneIdx & 3;
        var left = new Factor((float*)a, rowA, termA);
        var right = new Factor((float*)b, columnB, termB);
        // The fragments must be what the hardware takes them for: then these are the products that it forms.
        bool good = a0 == Tf32(left[group, lane]) && a1 == Tf32(left[group + 8, lane]) && a2 == Tf32(left[group, lane + 4]) && a3 == Tf32(left[group + 8, lane + 4])
            && b0 == Tf32(right[group, lane]) && b1 == Tf32(right[group, lane + 4]);
        return good ? Simulate<Tf32Kind>(c, left, right, 8) : NotANumber;
    }

    /// <summary>The same with 16 terms, two halves in an argument.</summary>
    [IntrinsicImplementation]
    public static Float4 MultiplyFloat16(Float4 c, uint a0, uint a1, uint a2, uint a3, uint b0, uint b1, nint a, nint b, int rowA, int termA, int columnB, int termB) =>
        SimulatePairs<Float16Kind>(c, a0, a1, a2, a3, b0, b1, new((float*)a, rowA, termA), new((float*)b, columnB, termB));

    /// <summary>The same with bfloat16.</summary>
    [IntrinsicImplementation]
    public static Float4 MultiplyBFloat16(Float4 c, uint a0, uint a1, uint a2, uint a3, uint b0, uint b1, nint a, nint b, int rowA, int termA, int columnB, int termB) =>
        SimulatePairs<BFloat16Kind>(c, a0, a1, a2, a3, b0, b1, new((float*)a, rowA, termA), new((float*)b, columnB, termB));

    /// <summary>Starts copying 16 bytes from memory to shared memory, or with a count of 0 writing zeros there.</summary>
    [IntrinsicImplementation]
    public static void CopyAsync(nint shared, nint global, int bytes) => *(Float4*)shared = bytes == 0 ? default : *(Float4*)global;

    /// <summary>Waits for all copies that this thread has started.</summary>
    [IntrinsicImplementation]
    public static void WaitForCopies()
    {
    }

    /// <summary>Address of an element.</summary>
    public static nint Address(ref float element)
    {
        fixed (float* p = &element) return (nint)p;
    }

    /// <summary>Address of a quad.</summary>
    public static nint Address(ref Float4 quad)
    {
        fixed (Float4* p = &quad) return (nint)p;
    }

    private static Float4 NotANumber => new() { X = float.NaN, Y = float.NaN, Z = float.NaN, W = float.NaN };

    private static uint BFloat16Bits(float v)
    {
        uint bits = BitConverter.SingleToUInt32Bits(v);
        return (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
    }

    private static Float4 SimulatePairs<TKind>(Float4 c, uint a0, uint a1, uint a2, uint a3, uint b0, uint b1, Factor left, Factor right) where TKind : struct, ITensorKind
    {
        int group = Warp.LaneIdx >> 2, k = 2 * (Warp.LaneIdx & 3);
        TKind kind = default;
        bool good = a0 == kind.Pair(left[group, k], left[group, k + 1]) && a1 == kind.Pair(left[group + 8, k], left[group + 8, k + 1])
            && a2 == kind.Pair(left[group, k + 8], left[group, k + 9]) && a3 == kind.Pair(left[group + 8, k + 8], left[group + 8, k + 9])
            && b0 == kind.Pair(right[group, k], right[group, k + 1]) && b1 == kind.Pair(right[group, k + 8], right[group, k + 9]);
        return good ? Simulate<TKind>(c, left, right, 16) : NotANumber;
    }

    private static Float4 Simulate<TKind>(Float4 c, Factor left, Factor right, int terms) where TKind : struct, ITensorKind
    {
        int row = Warp.LaneIdx >> 2, column = 2 * (Warp.LaneIdx & 3);
        TKind kind = default;
        for (int k = 0; k < terms; k++)
        {
            float upper = kind.Rounded(left[row, k]), lower = kind.Rounded(left[row + 8, k]);
            float first = kind.Rounded(right[column, k]), second = kind.Rounded(right[column + 1, k]);
            c.X += upper * first;
            c.Y += upper * second;
            c.Z += lower * first;
            c.W += lower * second;
        }
        return c;
    }

    /// <summary>A factor in shared memory: row or column, and term.</summary>
    private readonly struct Factor(float* origin, int apart, int term)
    {
        public float this[int line, int k] => origin[(line * apart) + (k * term)];
    }

    /// <summary>Tells ILGPU what these methods are in PTX.</summary>
    public static void Register(IntrinsicImplementationManager manager)
    {
        foreach (var (method, handler) in new[]
        {
            (nameof(Tf32), nameof(EmitTf32)), (nameof(Float16Pair), nameof(EmitFloat16Pair)), (nameof(BFloat16Pair), nameof(EmitBFloat16Pair)),
            (nameof(MultiplyTf32), nameof(EmitMultiplyTf32)), (nameof(MultiplyFloat16), nameof(EmitMultiplyFloat16)), (nameof(MultiplyBFloat16), nameof(EmitMultiplyBFloat16)),
            (nameof(CopyAsync), nameof(EmitCopyAsync)), (nameof(WaitForCopies), nameof(EmitWaitForCopies)),
        })
        {
            manager.RegisterMethod(typeof(TensorCore).GetMethod(method)!,
                new PTXIntrinsic(typeof(TensorCore).GetMethod(handler, BindingFlags.NonPublic | BindingFlags.Static)!, IntrinsicImplementationMode.GenerateCode));
        }
    }

    private static string Operand(PTXCodeGenerator g, Value call, int index) =>
        "%" + PTXRegisterAllocator.GetStringRepresentation(g.EnsureHardwareRegister(g.LoadPrimitive(((MethodCall)call)[index])));

    private static string Result(PTXCodeGenerator g, Value call) =>
        "%" + PTXRegisterAllocator.GetStringRepresentation((ILGPU.Backends.RegisterAllocator<PTXRegisterKind>.HardwareRegister)g.Allocate(call));

    private static string List(PTXCodeGenerator g, ILGPU.Backends.RegisterAllocator<PTXRegisterKind>.Register quad)
    {
        var parts = ((ILGPU.Backends.RegisterAllocator<PTXRegisterKind>.CompoundRegister)quad).Children;
        List<string> names = [];
        foreach (var part in parts) names.Add("%" + PTXRegisterAllocator.GetStringRepresentation(g.EnsureHardwareRegister((ILGPU.Backends.RegisterAllocator<PTXRegisterKind>.PrimitiveRegister)part)));
        return "{" + string.Join(", ", names) + "}";
    }

    private static void EmitTf32(PTXBackend backend, PTXCodeGenerator g, Value call)
    {
        string from = Operand(g, call, 0);
        g.Builder.AppendLine($"\tcvt.rna.tf32.f32 {Result(g, call)}, {from};");
    }

    private static void EmitFloat16Pair(PTXBackend backend, PTXCodeGenerator g, Value call) => EmitPair(g, call, "f16x2");

    private static void EmitBFloat16Pair(PTXBackend backend, PTXCodeGenerator g, Value call) => EmitPair(g, call, "bf16x2");

    private static void EmitPair(PTXCodeGenerator g, Value call, string type)
    {
        string low = Operand(g, call, 0), high = Operand(g, call, 1);
        g.Builder.AppendLine($"\tcvt.rn.{type}.f32 {Result(g, call)}, {high}, {low};");
    }

    private static void EmitMultiplyTf32(PTXBackend backend, PTXCodeGenerator g, Value call) => EmitMultiply(g, call, "m16n8k8.row.col.f32.tf32.tf32.f32");

    private static void EmitMultiplyFloat16(PTXBackend backend, PTXCodeGenerator g, Value call) => EmitMultiply(g, call, "m16n8k16.row.col.f32.f16.f16.f32");

    private static void EmitMultiplyBFloat16(PTXBackend backend, PTXCodeGenerator g, Value call) => EmitMultiply(g, call, "m16n8k16.row.col.f32.bf16.bf16.f32");

    private static void EmitMultiply(PTXCodeGenerator g, Value call, string shape)
    {
        string c = List(g, g.Load(((MethodCall)call)[0]));
        string a = string.Join(", ", Enumerable.Range(1, 4).Select(i => Operand(g, call, i)));
        string b = string.Join(", ", Enumerable.Range(5, 2).Select(i => Operand(g, call, i)));
        string result = List(g, g.Allocate(call));
        g.Builder.AppendLine($"\tmma.sync.aligned.{shape} {result}, {{{a}}}, {{{b}}}, {c};");
    }

    // Operands come first: one that is a constant puts a move of its own into the text.
    private static void EmitCopyAsync(PTXBackend backend, PTXCodeGenerator g, Value call)
    {
        string shared = Operand(g, call, 0), global = Operand(g, call, 1), bytes = Operand(g, call, 2);
        g.Builder.AppendLine($"\tcp.async.cg.shared.global [{shared}], [{global}], 16, {bytes};");
    }

    private static void EmitWaitForCopies(PTXBackend backend, PTXCodeGenerator g, Value call) => g.Builder.AppendLine("\tcp.async.wait_all;");
}
